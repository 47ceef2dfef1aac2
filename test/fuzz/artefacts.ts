/**
 * Damaged artefacts, forged manifests and damaged texts of the IR: each refused with an error that names the file, or the same
 * as before; none a crash, a hang, or another result without a word.
 *
 *   npx tsx test/fuzz/artefacts.ts --count 5000 --seed 1
 *
 * `--count` cases of each kind; `--kind` only those. Exit code 1 where one is not met as it should be.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { ArtefactCases, KINDS, type Kind, type Outcome } from './artefact-cases.ts';

interface Order {
  readonly kind: Kind;
  readonly number: number;
}

/** Milliseconds after which a case is said to hang. */
const HANGS = 30_000;

if (process.send) await answer();
else await ask();

/** The child: runs cases as it is told. */
async function answer(): Promise<void> {
  const cases = await ArtefactCases.open();
  process.on(
    'message',
    ({ kind, number }: Order) => void cases.run(kind, number).then((outcome) => process.send!(outcome)),
  );
  process.on('disconnect', () => {
    cases.close();
    process.exit();
  });
  process.send!('ready');
}

async function ask(): Promise<void> {
  const { values } = parseArgs({
    options: {
      count: { type: 'string', default: '500' },
      seed: { type: 'string', default: '1' },
      kind: { type: 'string' },
    },
  });
  const [count, seed] = [Number(values.count), Number(values.seed)];
  const total: Record<string, number> = { refused: 0, same: 0, 'another program': 0, wrong: 0, crashed: 0, hung: 0 };
  let child: ChildProcess | undefined;
  for (const kind of KINDS.filter((name) => !values.kind || name === values.kind)) {
    for (let number = seed; number < seed + count; number++) {
      child ??= await started();
      const outcome = await outcomeOf(child, { kind, number });
      if (typeof outcome === 'string') {
        child.kill('SIGKILL');
        child = undefined;
      }
      const result = typeof outcome === 'string' ? outcome : outcome.wrong ? 'wrong' : outcome.result;
      total[result]++;
      const told = typeof outcome === 'string' ? outcome : outcome.wrong;
      if (told) console.error(`${kind} ${number}: ${told}`);
    }
  }
  child?.disconnect();
  console.table(total);
  process.exitCode = total.wrong + total.crashed + total.hung ? 1 : 0;
}

async function started(): Promise<ChildProcess> {
  const child = fork(fileURLToPath(import.meta.url));
  await new Promise((resolve) => child.once('message', resolve));
  return child;
}

function outcomeOf(child: ChildProcess, order: Order): Promise<Outcome | 'hung' | 'crashed'> {
  return new Promise((resolve) => {
    const end = (result: Outcome | 'hung' | 'crashed') => {
      clearTimeout(timer);
      child.removeAllListeners();
      resolve(result);
    };
    const timer = setTimeout(() => end('hung'), HANGS);
    child.once('message', (outcome: Outcome) => end(outcome));
    child.once('exit', () => end('crashed'));
    child.send(order);
  });
}
