import type { inference } from '@modelmill/contracts';
import { RpcError } from '@modelmill/service-kit';

const lookAhead = 64; // requests of one stream under way at a time; the rest wait in flow control

/**
 * One answer per request, in the order of the requests, while up to `lookAhead` of them are under way. A request that
 * fails is an answer with its id and the error and the stream goes on, unless it is to end with the first error's status.
 */
export async function* answerInOrder(
  requests: AsyncIterable<inference.ModelInferRequest>,
  infer: (request: inference.ModelInferRequest) => Promise<inference.ModelInferResponse>,
  endAtError = false,
): AsyncGenerator<inference.ModelStreamInferResponse> {
  const inOneMessage = (request: inference.ModelInferRequest) =>
    infer(request).then(answered, (error: unknown) => {
      if (endAtError) throw error;
      return refused(request.id, error);
    });
  const underway: Promise<inference.ModelStreamInferResponse>[] = [];
  const source = requests[Symbol.asyncIterator]();
  const read = () => {
    const result = source.next();
    result.catch(() => {}); // it is thrown in its turn, which may be long after
    return result;
  };
  let next: Promise<IteratorResult<inference.ModelInferRequest>> | undefined = read();
  while (next !== undefined || underway.length > 0) {
    const mayRead: typeof next = underway.length < lookAhead ? next : undefined;
    const first = await Promise.race([
      ...(mayRead === undefined ? [] : [mayRead.then((result) => ({ kind: 'read' as const, result }))]),
      ...(underway[0] === undefined ? [] : [underway[0].then((answer) => ({ kind: 'answer' as const, answer }))]),
    ]);
    if (first.kind === 'answer') {
      void underway.shift();
      yield first.answer;
    } else if (first.result.done === true) {
      next = undefined;
    } else {
      const request = first.result.value;
      const answer = inOneMessage(request);
      answer.catch(() => {}); // it is thrown in its turn
      underway.push(answer);
      next = read();
    }
  }
}

const answered = (inferResponse: inference.ModelInferResponse): inference.ModelStreamInferResponse => ({
  errorMessage: '',
  inferResponse,
});

function refused(id: string, error: unknown): inference.ModelStreamInferResponse {
  if (!(error instanceof RpcError)) throw error;
  const onlyId = { modelName: '', modelVersion: '', id, parameters: {}, outputs: [], rawOutputContents: [] };
  return { errorMessage: error.message, inferResponse: onlyId };
}
