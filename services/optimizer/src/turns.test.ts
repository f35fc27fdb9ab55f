import { createTurns } from './turns.js';

it('lets one work at a time, in the order of asking, and goes on after one that failed', async () => {
  const inTurn = createTurns();
  const told: string[] = [];
  let open = () => {};
  const gate = new Promise<void>((resolve) => (open = resolve));
  const first = inTurn(async () => {
    told.push('first begins');
    await gate;
    told.push('first ends');
    throw new Error('broken');
  });
  const second = inTurn(async () => told.push('second'));
  open();
  await expect(first).rejects.toThrow('broken');
  await second;
  expect(told).toEqual(['first begins', 'first ends', 'second']);
});
