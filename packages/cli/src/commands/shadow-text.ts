import type { serving } from '@modelmill/client';
import { count } from '../terminal/format.js';

type Comparison = serving.ShadowComparison;
type Output = serving.OutputComparison;

/** A comparison in plain words, a sentence a line. */
export function comparisonText(of: Comparison): string[] {
  const { label, version, answered, picked, compared, waiting } = of;
  if (picked === 0n) return [`version ${version} is the shadow of ${label}: no requests so far`];
  return [
    `${count(compared)} of ${count(answered)} requests to ${label} were compared with version ${version}`,
    ...of.outputs.flatMap(outputText),
    ...timesText(of),
    ...(of.failed > 0n ? [`version ${version} could not run ${count(of.failed)}, last: ${of.lastFailure}`] : []),
    ...Object.entries(of.dropped)
      .filter(([, requests]) => requests > 0n)
      .map(([reason, requests]) => `${count(requests)} were not tried: ${reasons[reason] ?? reason}`),
    ...(waiting > 0n ? [`${count(waiting)} wait`] : []),
  ];
}

const reasons: Readonly<Record<string, string>> = {
  busy: 'the runners were busy with others',
  not_in_memory: 'the memory budget had no room for the version',
  not_loaded: 'the version was not loaded',
  resting: 'the version had ended a runner or taken too long',
};

function outputText(output: Output): string[] {
  const { name, datatype, elements, equalElements, unlikeElements, rows, agreeingRows } = output;
  const lines: string[] = [];
  if (rows > 0n) lines.push(`the largest score is the same in ${share(agreeingRows, rows)} of ${count(rows)} rows`);
  if (output.compared > 0n && datatype.startsWith('FP')) lines.push(differenceText(output));
  else if (elements > 0n) lines.push(`${share(equalElements, elements)} of ${count(elements)} elements are equal`);
  if (unlikeElements > 0n) lines.push(`${count(unlikeElements)} elements are infinite or no number on one side alone`);
  const unlike = [
    ['is missing', output.missing],
    ['has another shape', output.otherShape],
    ['has another datatype', output.otherDatatype],
  ] as const;
  for (const [what, requests] of unlike) if (requests > 0n) lines.push(`${what} in ${count(requests)} requests`);
  return lines.map((line) => `  ${name}: ${line}`);
}

function differenceText({ elements, equalElements, maxDifference, rmsDifference, relativeDifference }: Output): string {
  if (equalElements === elements) return `all ${count(elements)} elements are equal`;
  const relative = `${decimal(100 * relativeDifference)} % of the answered rms`;
  return `differs by ${decimal(maxDifference)} at most, by ${decimal(rmsDifference)} rms (${relative})`;
}

function timesText({ version, answeredTimes, shadowTimes, compared }: Comparison): string[] {
  if (compared === 0n) return [];
  const side = (of: serving.SideTimes | undefined, field: 'execution' | 'answer') =>
    `${decimal(of?.[field]?.p50Ms ?? 0)} ms (p50) and ${decimal(of?.[field]?.p99Ms ?? 0)} ms (p99)`;
  return [
    `in ONNX Runtime: answered in ${side(answeredTimes, 'execution')}, version ${version} in ${side(shadowTimes, 'execution')}`,
    `with waiting: answered in ${side(answeredTimes, 'answer')}, version ${version}, behind all others, in ${side(shadowTimes, 'answer')}`,
  ];
}

/** Three digits that count. */
const decimal = (value: number) => (value >= 1000 ? count(value) : String(Number(value.toPrecision(3))));

/** 100 % is all of them, and nothing less. */
function share(part: bigint, whole: bigint): string {
  const hundredths = (part * 10_000n) / whole;
  return `${Number(hundredths) / 100} %`;
}
