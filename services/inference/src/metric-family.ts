/** Its labels in braces, and its value. */
export type Sample = readonly [labels: string, value: number | '+Inf'];

/** The lines of one metric in Prometheus's text. */
export const metricFamily = (
  name: string,
  kind: 'counter' | 'gauge' | 'summary',
  help: string,
  samples: readonly Sample[],
) => [
  `# HELP ${name} ${help}`,
  `# TYPE ${name} ${kind}`,
  ...samples.map(([labels, value]) => `${name}${labels} ${value}`),
];
