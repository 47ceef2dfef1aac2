/**
 * The `ditc` command. Each command is a file of commands/; what it needs beyond its options is imported when it runs, so
 * that `--help` and a mistyped option answer at once.
 */
import { Command, CommanderError } from 'commander';
import { readFileSync } from 'node:fs';
import { buildCommand } from './commands/build.ts';
import { convertCommand } from './commands/convert.ts';
import { decodeCommand } from './commands/decode.ts';
import { doctorCommand } from './commands/doctor.ts';
import { encodeCommand } from './commands/encode.ts';
import { evalCommand } from './commands/eval.ts';
import { inspectCommand } from './commands/inspect.ts';
import { invertCommand } from './commands/invert.ts';
import { mergeCommand } from './commands/merge.ts';
import { optCommand } from './commands/opt.ts';
import { profileCommand } from './commands/profile.ts';
import { runCommand } from './commands/run.ts';
import { sampleCommand } from './commands/sample.ts';
import { trainCommand } from './commands/train.ts';
import { tuneCommand } from './commands/tune.ts';
import { verifyCommand } from './commands/verify.ts';
import { PACKAGE_ROOT } from '../compiler/frontend/paths.ts';
import type { Context } from './context.ts';
import { EXIT, reportError, UsageError } from './errors.ts';
import { catchSignals } from './interrupt.ts';
import { processTerminal, type Terminal } from './terminal.ts';
import { settled } from './unsettled.ts';

const COMMANDS = [
  buildCommand,
  runCommand,
  sampleCommand,
  invertCommand,
  mergeCommand,
  trainCommand,
  encodeCommand,
  decodeCommand,
  evalCommand,
  convertCommand,
  verifyCommand,
  profileCommand,
  tuneCommand,
  inspectCommand,
  optCommand,
  doctorCommand,
];

const NOTES = `
Environment:
  DITC_ADAPTER   which adapter to run on: hardware, lavapipe, embedded (see ditc doctor)
  DITC_CACHE     folder to keep checked and compiled models in, or off (default: ~/.cache/ditc)
  DITC_DEBUG=1   show the stack of an error

Exit codes: 0 done, 1 failed, 2 called wrongly, 130, 143, 129 interrupted by Ctrl-C, SIGTERM, SIGHUP
(train and tune: 0, what was done is written).`;

const version = (): string =>
  (JSON.parse(readFileSync(`${PACKAGE_ROOT}/package.json`, 'utf8')) as { version: string }).version;

function createProgram(context: Context): Command {
  const { terminal } = context;
  const program = new Command('ditc')
    .description('Compiles diffusion transformers written in TypeScript to WGSL, and runs them on any GPU or none.')
    .version(version(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .addHelpText('after', NOTES);
  for (const make of COMMANDS) program.addCommand(make(context));
  program.hook('preAction', (_program, command) => refuseEmpty(command));
  for (const command of [program, ...program.commands]) {
    command.exitOverride().helpOption('-h, --help', 'print this help');
    command.configureOutput({
      writeOut: (text) => terminal.out(text.trimEnd()),
      writeErr: (text) => terminal.err(text.trimEnd()),
      // Errors are told by reportError, in the same form as all others.
      outputError: () => {},
    });
  }
  return program;
}

/** An empty word is a variable of the shell that was not set: told before any work, whatever would take it. */
function refuseEmpty(command: Command): void {
  const values = command.opts<Record<string, unknown>>();
  // An option whose value may be left out has none.
  for (const option of command.options.filter(({ optional }) => !optional))
    if ([values[option.attributeName()]].flat().includes(''))
      throw new UsageError({ what: `${option.long} is empty`, fix: `give ${option.long} a value, or leave it out` });
  const at = command.args.indexOf('');
  if (at < 0) return;
  const name = command.registeredArguments[at]?.name() ?? 'argument';
  throw new UsageError({ what: `the argument <${name}> is empty`, fix: `see ditc ${command.name()} --help` });
}

/** Runs a command line (without `node` and the script) and gives the exit code. */
export async function main(
  argv: readonly string[],
  terminal: Terminal = processTerminal(),
  seams: Pick<Context, 'passes'> = {},
): Promise<number> {
  const context: Context = { ...seams, terminal, exitCode: EXIT.ok };
  const program = createProgram(context);
  catchSignals();
  try {
    await settled(program.parseAsync(argv.map(closeOptional), { from: 'user' }));
    return context.exitCode;
  } catch (error) {
    // Help and the version come as exceptions too.
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT.ok;
    if (error instanceof CommanderError && error.code === 'commander.help') return EXIT.usage;
    return reportError(withHint(error, argv, program), terminal, argv.includes('--json'));
  }
}

/** `--print-ir model.ts`: commander would take the model for the pass. Its value comes after `=` or not at all. */
const closeOptional = (word: string): string => (word === '--print-ir' ? '--print-ir=' : word);

/** Commander's own complaints, with where to read on. */
function withHint(error: unknown, argv: readonly string[], program: Command): unknown {
  if (!(error instanceof CommanderError)) return error;
  const command = program.commands.find((c) => c.name() === argv.find((word) => !word.startsWith('-')));
  const help = `see ditc ${command ? `${command.name()} ` : ''}--help`;
  const [what, guess] = error.message.replace(/^error: /, '').split('\n');
  const meant = /\(Did you mean (.*)\?\)/.exec(guess ?? '')?.[1];
  return new UsageError({ what, fix: meant ? `did you mean ${meant}? ${help}` : help });
}
