import type { serving } from '@modelmill/contracts';
import { metricFamily } from './metric-family.js';
import type { Sample } from './metric-family.js';
import type { LabelShadow } from './shadows.js';

type Measure = readonly [name: string, kind: 'counter' | 'gauge', help: string, value: (of: Told) => number];
type Told = serving.OutputComparison;

const perOutput: readonly Measure[] = [
  ['mill_shadow_elements_total', 'counter', 'Elements of outputs compared', (of) => Number(of.elements)],
  ['mill_shadow_equal_elements_total', 'counter', 'Those that are equal', (of) => Number(of.equalElements)],
  ['mill_shadow_rows_total', 'counter', 'Rows of scores compared', (of) => Number(of.rows)],
  ['mill_shadow_agreeing_rows_total', 'counter', 'Those with one largest score', (of) => Number(of.agreeingRows)],
  ['mill_shadow_max_difference', 'gauge', 'Largest absolute difference', (of) => of.maxDifference],
  ['mill_shadow_rms_difference', 'gauge', 'Root mean square of the differences', (of) => of.rmsDifference],
];

const unlike = [
  ['missing', (of: Told) => of.missing],
  ['shape', (of: Told) => of.otherShape],
  ['datatype', (of: Told) => of.otherDatatype],
] as const;

/** The Prometheus text of what shadows compared. */
export function shadowMetricsText(shadows: readonly LabelShadow[]): string {
  const told = shadows.map((of) => ({ of, labels: labelsOf(of), outputs: of.tally.outputs() }));
  const requests = told.flatMap(({ of: { tally }, labels }): Sample[] => [
    [`{${labels},result="compared"}`, tally.counts.compared],
    [`{${labels},result="failed"}`, tally.counts.failed],
    ...[...tally.dropped].map(([reason, count]): Sample => [`{${labels},result="${reason}"}`, count]),
  ]);
  const samples = (value: (of: Told) => number) =>
    told.flatMap(({ labels, outputs }) =>
      outputs.map((of): Sample => [`{${labels},output="${escaped(of.name)}"}`, value(of)]),
    );
  const different = told.flatMap(({ labels, outputs }) =>
    outputs.flatMap((of) =>
      unlike.map(([what, count]): Sample => {
        const output = `output="${escaped(of.name)}",what="${what}"`;
        return [`{${labels},${output}}`, Number(count(of))];
      }),
    ),
  );
  const times = told.flatMap(({ of: { tally }, labels }) =>
    (['answered', 'shadow'] as const).flatMap((side): Sample[] => {
      const { execution } = tally.times[side];
      return [
        [`_sum{${labels},side="${side}"}`, execution.sum() / 1000],
        [`_count{${labels},side="${side}"}`, execution.count()],
      ];
    }),
  );
  const lines = [
    ...metricFamily('mill_shadow_requests_total', 'counter', 'Requests picked for a shadow, by result', requests),
    ...perOutput.flatMap(([name, kind, help, value]) => metricFamily(name, kind, help, samples(value))),
    ...metricFamily('mill_shadow_unlike_outputs_total', 'counter', 'Outputs that could not be compared', different),
    ...metricFamily('mill_shadow_execution_seconds', 'summary', 'Executions of what was compared', times),
  ];
  return `${lines.join('\n')}\n`;
}

/** Names of models, labels and versions cannot hold what would need escaping. */
const labelsOf = ({ model, label, setting: { version } }: LabelShadow) =>
  `model="${model}",label="${label}",version="${version}"`;

/** An output may have any name. */
const escaped = (name: string) => name.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
