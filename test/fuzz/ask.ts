/** One question to a process of the fuzzer, which may never answer. */
import { spawnSync, type ChildProcess } from 'node:child_process';

export interface Limits {
  /** Seconds of computing after which a question is said to hang; shrinking takes some. */
  readonly computing: number;
  /** Seconds after which it hangs though it computes nothing; a busy machine lets much of the time pass. */
  readonly waiting: number;
}

const LIMITS: Limits = { computing: 120, waiting: 1800 };

/** The answer, or what became of the process instead. */
export function ask<A>(child: ChildProcess, question: object, limits = LIMITS): Promise<A | 'hung' | 'crashed'> {
  return new Promise((resolve) => {
    const end = (result: A | 'hung' | 'crashed'): void => {
      clearInterval(timer);
      child.removeAllListeners();
      resolve(result);
    };
    const [before, since] = [computed(child), performance.now()];
    const look = (): void => {
      const waited = (performance.now() - since) / 1000;
      if (waited > limits.waiting || computed(child) - before > limits.computing) end('hung');
    };
    const timer = setInterval(look, (Math.min(limits.computing, limits.waiting) / 4) * 1000);
    child.once('message', (answer: A) => end(answer));
    child.once('exit', () => end('crashed'));
    child.send(question);
  });
}

/** Seconds of processor time that a process has had: what waits for a busy machine does not hang. */
function computed({ pid }: ChildProcess): number {
  const { stdout } = spawnSync('ps', ['-o', 'time=', '-p', String(pid)], { encoding: 'utf8' });
  const units = [1, 60, 3600, 86_400];
  return stdout
    .trim()
    .split(/[-:]/)
    .reverse()
    .reduce((sum, part, i) => sum + Number(part) * units[i], 0);
}
