import { status } from '@grpc/grpc-js';
import { inference } from '@modelmill/contracts';
import { RpcError } from '@modelmill/service-kit';
import { answerInOrder } from './stream-infer.js';

it('tells of a caller that goes while as many requests as may be are under way, and of nothing before', async () => {
  const gone = new RpcError(status.CANCELLED, 'the caller went away');
  let asked = 0;
  async function* requests() {
    for (; asked < 64; asked++) yield inference.ModelInferRequest.fromPartial({ id: `${asked}` });
    throw gone;
  }
  const answers: (() => void)[] = [];
  const infer = ({ id }: inference.ModelInferRequest) =>
    new Promise<inference.ModelInferResponse>((resolve) => {
      answers.push(() => resolve(inference.ModelInferResponse.fromPartial({ id })));
    });
  const unhandled = jest.fn();
  process.on('unhandledRejection', unhandled);
  try {
    const stream = answerInOrder(requests(), infer);
    const first = stream.next();
    while (answers.length < 64) await new Promise((resolve) => setImmediate(resolve));
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(unhandled).not.toHaveBeenCalled();
    answers[0]!();
    expect((await first).value).toMatchObject({ inferResponse: { id: '0' } });
    await expect(stream.next()).rejects.toBe(gone);
  } finally {
    process.off('unhandledRejection', unhandled);
  }
});
