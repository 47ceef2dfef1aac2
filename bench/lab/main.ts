/** The lab: what compilers for real GPUs make of our kernels, and a software GPU with matrix units, both without a GPU. */
import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { Command, InvalidArgumentError } from 'commander';
import { fileURLToPath } from 'node:url';
import { TESTS } from './executed.ts';
import { isa, type IsaOptions } from './isa.ts';
import { writeResults } from './results.ts';
import { spills } from './spills.ts';

const collect = (value: string, all: string[] = []): string[] => [...all, value];

function wholeNumber(value: string): number {
  const n = Number(value);
  if (!Number.isSafeInteger(n) || n < 1) throw new InvalidArgumentError('Give a whole number from 1.');
  return n;
}

/** Runs a script of this folder and ends as it does. */
function script(name: string, args: readonly string[]): never {
  const file = fileURLToPath(new URL(name, import.meta.url));
  const { status, error } = spawnSync('bash', [file, ...args], { stdio: 'inherit' });
  if (error) console.error(error.message);
  process.exit(status ?? 1);
}

const program = new Command('lab')
  .description('Looks at kernels as real GPUs would run them, without one.')
  .enablePositionalOptions();

program
  .command('isa')
  .description('Compiles kernels to machine code for a GPU that is not there: what a turn of the hottest loop does.')
  .argument('<what...>', 'model files, folders that ditc build wrote, or kernels (.wgsl)')
  .option('--gpu <name>', 'navi31 (RDNA 3, matrix units), navi21 (RDNA 2), gfx1201 (RDNA 4)', 'navi31')
  .option('--device <spec>', 'what models are compiled for, as of ditc build (default: the one of that generation)')
  .option('--entry <name>', 'of a model, this entry only; may be repeated', collect)
  .option('--batch <n>', 'examples that a model is compiled for', wholeNumber, 1)
  .option('--dtype <type>', 'f32 or f16, as of ditc build', 'f32')
  .option('--kernel <name>', 'only kernels whose names begin so; may be repeated', collect)
  .option('--loops', 'all innermost loops that multiply, not the hottest alone')
  .option('--asm <dir>', 'keep each kernel as WGSL and as assembly there')
  .option('--json', 'print the figures as JSON')
  .action((what: string[], options: IsaOptions) => isa(what, options));

program
  .command('results')
  .description('Writes bench/lab/RESULTS.md anew: all kernels of the models that it lists.')
  .option('--section <n>', 'print this section only, counted from 0', Number)
  .option('--json', 'print it as JSON, with a row for each loop')
  .option('--jobs <n>', 'sections to make at a time', wholeNumber, availableParallelism())
  .action((options: { section?: number; json?: boolean; jobs: number }) => writeResults(options));

program
  .command('spills')
  .description(
    'Compiles all kernels of all models, and writes to bench/lab/SPILLS.md whether their numbers fit the registers.',
  )
  .argument('[models...]', 'model files (default: all of models/)')
  .action((paths: string[]) => spills(paths));

program
  .command('run')
  .description('Runs a command on a software GPU with matrix units (Mesa 26’s lavapipe), in this folder.')
  .argument('<command...>')
  .passThroughOptions()
  .action((command: string[]) => script('debian13.sh', ['run', ...command]));

program
  .command('executed')
  .description(
    'Runs the tests of kernels for matrix units there, all cases, and writes what came out to bench/lab/EXECUTED.md.',
  )
  .argument('[vitest...]', 'files and options for vitest (default: all of these tests)')
  .passThroughOptions()
  .action((given: string[]) => {
    const files = given.some((one) => one.endsWith('.test.ts')) ? [] : TESTS;
    const reporters = ['--reporter', 'default', '--reporter', './bench/lab/executed.ts'];
    script('debian13.sh', ['run', 'env', 'DITC_SLOW=1', 'npx', 'vitest', 'run', ...files, ...given, ...reporters]);
  });

program
  .command('setup')
  .description('Installs what isa and run need: once per machine, as root, on Debian 12.')
  .option('--no-run', 'what isa needs alone: a minute and 20 MB instead of three and 700')
  .action(({ run }: { run: boolean }) => script('setup.sh', run ? [] : ['--no-run']));

await program.parseAsync();
