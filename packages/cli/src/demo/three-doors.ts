import type { Mill } from '@modelmill/client';
import { CliError } from '../cli-error.js';

/** What one door answered about one example. */
export interface DoorAnswer {
  readonly door: 'grpc' | 'rest_v2' | 'rest_v1';
  readonly call: string;
  readonly probabilities: readonly number[];
  /** The version that ran, where the door's protocol tells it. */
  readonly version?: string | undefined;
}

interface Doors {
  readonly mill: Mill;
  /** URL of the REST door. */
  readonly rest: string;
  readonly apiKey: string;
}

/** The same example through gRPC, REST v2 and REST :predict. */
export async function askThreeDoors(
  { mill, rest, apiKey }: Doors,
  model: string,
  example: readonly number[],
): Promise<DoorAnswer[]> {
  const [input] = (await mill.inference.modelMetadata(model)).inputs;
  if (!input) throw new CliError(`${model} takes no input`);
  const tensor = { name: input.name, datatype: 'FP32', shape: [1, example.length], data: example } as const;

  async function post(path: string, body: unknown): Promise<unknown> {
    const answer = await fetch(`${rest}${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    const text = await answer.text();
    if (!answer.ok) throw new CliError(`POST ${path} answered ${answer.status}: ${text.slice(0, 200)}`);
    return JSON.parse(text);
  }

  const grpc = await mill.inference.infer({ model, inputs: [tensor] });
  const v2 = (await post(`/v2/models/${model}/infer`, { inputs: [tensor] })) as {
    model_version: string;
    outputs: readonly [{ data: readonly number[] }];
  };
  const v1 = (await post(`/v1/models/${model}:predict`, { instances: [example] })) as {
    predictions: readonly (readonly number[])[];
  };
  return [
    {
      door: 'grpc',
      call: 'gRPC ModelInfer',
      probabilities: Array.from<unknown, number>(grpc.outputs[0]?.data ?? [], Number),
      version: grpc.version,
    },
    {
      door: 'rest_v2',
      call: `POST /v2/models/${model}/infer`,
      probabilities: v2.outputs[0].data,
      version: v2.model_version,
    },
    { door: 'rest_v1', call: `POST /v1/models/${model}:predict`, probabilities: v1.predictions.flat() },
  ];
}

/** Whether all doors gave the same float32 numbers. JSON may spell one with fewer digits than a double has. */
export function areEqual(answers: readonly DoorAnswer[]): boolean {
  const [first, ...others] = answers.map(({ probabilities }) => probabilities.map(Math.fround));
  return (
    first !== undefined &&
    first.length > 0 &&
    others.every((other) => other.length === first.length && other.every((value, index) => value === first[index]))
  );
}

/** The class of the highest probability. */
export const likeliest = (probabilities: readonly number[]) => probabilities.indexOf(Math.max(...probabilities));
