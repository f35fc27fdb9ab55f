import { columnNotes } from './column-notes.js';

it('notes on columns tell of categories and of what is missing, and say nothing of plain numbers', () =>
  expect(
    columnNotes([
      { name: 'rooms', categories: [], missing: 0n, fill: undefined },
      { name: 'beds', categories: [], missing: 1207n, fill: 435 },
      { name: 'place', categories: ['coast', 'inland'], missing: 0n, fill: undefined },
      { name: 'view', categories: ['sea'], missing: 3n, fill: undefined },
    ]),
  ).toEqual(['beds: 1,207 missing, taken for 435', 'place: 2 categories', 'view: 1 category, 3 missing']));
