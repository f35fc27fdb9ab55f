import { createScreen } from './screen.js';

function recorder(isTTY: boolean, columns = 20) {
  let text = '';
  return { isTTY, columns, write: (more: string) => void (text += more), read: () => text };
}

describe('a screen', () => {
  it('on a terminal keeps one line at the bottom, cut to its width', () => {
    const output = recorder(true);
    const screen = createScreen(output, { colours: false }, () => 0);
    screen.live('training for a rather long time');
    screen.print('event');
    screen.clear();
    expect(output.read()).toBe(
      '\r\u001b[2Ktraining for a rat…' + '\r\u001b[2Kevent\ntraining for a rat…' + '\r\u001b[2K',
    );
  });

  it('on a terminal redraws several lines as one block', () => {
    const output = recorder(true);
    let now = 0;
    const screen = createScreen(output, { colours: false }, () => (now += 1000));
    screen.live('curve', 'bar 1');
    screen.live('curve', 'bar 2');
    screen.clear();
    const back = '\r\u001b[2K\u001b[1A\u001b[2K';
    expect(output.read()).toBe(`\r\u001b[2Kcurve\nbar 1${back}curve\nbar 2${back}`);
  });

  it('elsewhere prints plain lines, the moving one every few seconds', () => {
    const output = recorder(false);
    let now = 0;
    const screen = createScreen(output, { colours: true }, () => now);
    for (now of [0, 1_000, 2_000, 3_500]) screen.live(`${now} ms`);
    screen.print(screen.paint.bold('done'));
    screen.clear();
    expect(output.read()).toBe('0 ms\n3500 ms\ndone\n');
  });

  it('has colours on a terminal, unless they are not wanted', () => {
    const bold = (colours: boolean) => createScreen(recorder(true), { colours }).paint.bold('x');
    expect([bold(true), bold(false)]).toEqual(['\u001b[1mx\u001b[22m', 'x']);
  });
});
