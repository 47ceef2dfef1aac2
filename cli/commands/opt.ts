/** `ditc opt`: the compiler on text. Graphs in the IR's syntax go in, what passes make of them comes out. */
import { Command } from 'commander';
import type { Emit } from '../../compiler/emit/reproducer.ts';
import type { Graph } from '../../compiler/ir/index.ts';
import type { OptOptions } from '../../compiler/opt.ts';
import { examples, type Context } from '../context.ts';
import { UsageError } from '../errors.ts';
import { collect, memorySize, oneOf } from '../options.ts';
import { findRunLine } from '../run-line.ts';

/** What to do with the graphs. A file's RUN line may say it too. */
interface What {
  passes?: string;
  emit?: Emit;
  entry?: string[];
  device?: string;
  memory?: number;
  verify?: boolean;
}

interface Options extends What {
  out?: string;
  list?: boolean;
  json?: boolean;
}

const EMITS: readonly Emit[] = ['ir', 'regions', 'memory', 'wgsl'];

const NOTES = `

A model's graphs before any pass: ditc build my-model.ts --print-ir=trace | ditc opt - --passes simplify

A file may hold several graphs, one for each entry of a model. Its first lines may say what is to be done with it:
  // RUN: ditc opt %s --passes simplify,recognise
and that is done when the options do not say otherwise. The compiler writes such a file when it fails.`;

const whatCommand = (): Command =>
  new Command('opt')
    .argument('[file]', 'graphs as text, FILE.ir, or - for stdin')
    .option('--passes <names>', 'passes to run, a,b,c, in this order; none: no pass (default: the pipeline)')
    .option('--emit <what>', 'print ir, regions (what shares a kernel), memory or wgsl', oneOf('--emit', EMITS))
    .option('--entry <name>', 'take this graph only; may be repeated', collect)
    .option('--device <spec>', 'device to compile for: as of ditc build, or JSON (default: portable)')
    .option('--memory <size>', 'bytes that a graph may take: what it cannot keep is computed again', memorySize)
    .option('--verify', 'verify the graphs after every pass');

export const optCommand = (context: Context): Command =>
  whatCommand()
    .description('Runs passes of the compiler on text: graphs go in, and graphs, kernels or memory plans come out.')
    .option('-o, --out <file>', 'write this file instead of stdout')
    .option('--list', 'print the passes, and the rules with their equations')
    .option('--json', 'print JSON: the result as {"text": …}, or the list')
    .addHelpText(
      'after',
      examples(
        'ditc opt block.ir --passes simplify,recognise,expand --emit regions',
        'ditc opt codegen-out/dit-xl/graph.ir --passes none --emit memory',
      ) + NOTES,
    )
    .action((path: string | undefined, options: Options) => opt(path, options, context));

async function opt(path: string | undefined, options: Options, context: Context): Promise<void> {
  const { terminal } = context;
  if (options.list) {
    const { passList, passListText } = await import('../passes.ts');
    return terminal.out(options.json ? JSON.stringify(passList(), null, 2) : passListText());
  }
  if (path === undefined) throw new UsageError({ what: 'no file is given', fix: 'give FILE.ir, or - for stdin' });
  const { checkOutputFile } = await import('../out-path.ts');
  if (options.out !== undefined) checkOutputFile(options.out);
  // A mistyped option is told before anything is read.
  const asked = await prepare(options, context);
  const { readText, knownBug } = await import('../ir-text.ts');
  const { name, text } = await readText(path);
  const { passes, emit, entry, device, memory, verify } = options;
  const silent = [passes, emit, entry, device, memory, verify].every((value) => value === undefined);
  const own = silent ? ownOptions(text, name) : undefined;
  const result = knownBug(name, text, await transformer(own ? await prepare(own, context) : asked, name));
  if (options.out !== undefined) {
    const { writeAtomically } = await import('../../runtime/node/file.ts');
    await writeAtomically(options.out, (write) => write(Buffer.from(result)));
  } else terminal.out(options.json ? JSON.stringify({ text: result }, null, 2) : result.replace(/\n$/, ''));
}

/** The options of a text's RUN line. */
function ownOptions(text: string, name: string): What | undefined {
  const run = findRunLine(text);
  if (!run) return undefined;
  const command = whatCommand()
    .exitOverride()
    .configureOutput({ outputError: () => {} });
  try {
    command.parse([...run.args], { from: 'user' });
  } catch (error) {
    const { message } = error as Error;
    throw new UsageError({
      where: `${name}:${run.line}`,
      what: 'its RUN line is wrong',
      why: message,
      fix: 'see ditc opt --help',
    });
  }
  return command.opts<What>();
}

async function prepare(what: What, context: Context): Promise<OptOptions & { entry?: string[] }> {
  const [{ passesOf }, { findDevice }] = await Promise.all([import('../passes.ts'), import('../../library/device.ts')]);
  const { emit = 'ir', entry, device = 'portable', memory, verify } = what;
  return {
    passes: passesOf(what.passes, context.passes),
    emit,
    entry,
    device: await findDevice(device),
    memory,
    verify,
  };
}

/** The way from text to text. */
async function transformer(
  options: OptOptions & { entry?: string[] },
  name: string,
): Promise<(text: string) => string> {
  const [{ readFusions }, { optimise }, { checkEntry }] = await Promise.all([
    import('../../compiler/fusion/parse.ts'),
    import('../../compiler/opt.ts'),
    import('../model.ts'),
  ]);
  return (text) => {
    const { graphs, fusions } = readFusions(text, name);
    const wanted = options.entry ?? graphs.map((graph) => graph.name);
    for (const entry of wanted)
      checkEntry(
        entry,
        graphs.map((graph) => graph.name),
        name,
      );
    return optimise(
      graphs.filter((graph: Graph) => wanted.includes(graph.name)),
      options,
      fusions,
    );
  };
}
