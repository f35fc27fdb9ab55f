import { areEqual, likeliest } from './three-doors.js';

const door = (probabilities: number[]) => ({ door: 'grpc', call: 'gRPC', probabilities }) as const;

describe('the answers of the doors', () => {
  it('are equal when they are the same float32 numbers', () =>
    expect(areEqual([door([Math.fround(0.1), 1]), door([0.1, 1]), door([0.10000000149, 1])])).toBe(true));

  it.each([
    [[door([0.1]), door([0.1000001])]],
    [[door([0.1]), door([0.1, 0.2])]],
    [[door([])]],
    [[door([NaN]), door([NaN])]],
  ])('differ: %j', (answers) => expect(areEqual(answers)).toBe(false));

  it('name the likeliest class', () => expect(likeliest([0.1, 0.7, 0.2])).toBe(1));
});
