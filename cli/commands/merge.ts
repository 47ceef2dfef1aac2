/** `ditc merge`: the parts of `ditc sample --num` as one set of pictures. */
import { Command } from 'commander';
import { examples, type Context } from '../context.ts';
import { UsageError } from '../errors.ts';
import { grouped, plural, seconds } from '../text.ts';

interface Options {
  out: string;
  json?: boolean;
}

const NOTES = `
Every part must be there, of the same run (model, weights, settings, seed, number, batch and version of the code) and as it was written (SHA-256); what is not
is named, and nothing is written. The result is the same whatever the number of parts.`;

export const mergeCommand = (context: Context): Command =>
  new Command('merge')
    .description('Merges the parts that ditc sample --num --shard drew into one set of pictures.')
    .argument('<folder>', 'the --out of ditc sample --num')
    .requiredOption(
      '-o, --out <path>',
      'FILE.npz, an array arr_0 [N,H,W,3] as evaluators take it; or a new folder, a PNG each',
    )
    .option('--json', 'print what was done as JSON')
    .addHelpText(
      'after',
      NOTES + '\n' + examples('ditc merge run/ --out samples.npz', 'ditc merge run/ --out pictures/'),
    )
    .action((folder: string, options: Options) => merge(folder, options, context));

async function merge(folder: string, { out, json }: Options, { terminal }: Context): Promise<void> {
  const start = performance.now();
  const [{ mergeParts }, { checkNewFolder, checkOutputFile }] = await Promise.all([
    import('../sample/merge.ts'),
    import('../out-path.ts'),
  ]);
  if (/\.npz$/i.test(out)) checkOutputFile(out);
  else if (/\.\w{2,5}$/.test(out)) throw new UsageError({ what: `--out is ${out}`, fix: 'give FILE.npz or a folder' });
  else checkNewFolder(out);
  const { num, parts, shape } = await mergeParts(folder, out, terminal);
  const took = performance.now() - start;
  if (json) {
    terminal.out(JSON.stringify({ out, pictures: num, parts, shape, seconds: Math.round(took) / 1000 }, null, 2));
    return;
  }
  terminal.out(
    `wrote ${out}  ${plural(num, 'picture')} of ${grouped(parts)} ${parts === 1 ? 'part' : 'parts'}  ${seconds(took)}`,
  );
}
