/** `ditc convert`: checkpoints from one form to another, tensor by tensor. */
import { Command } from 'commander';
import { examples, type Context } from '../context.ts';
import { CHECKPOINT, oneOf, parseBytes, part, PART, realNumber } from '../options.ts';
import type { Part } from '../../runtime/checkpoint/trained.ts';
import { bytes, plural, seconds } from '../text.ts';

interface Options {
  model?: string;
  to?: string;
  dtype?: 'f32' | 'f16' | 'bf16' | 'f64';
  part?: Part;
  lora?: string;
  loraScale?: number;
  shardSize?: number;
  json?: boolean;
}

const NOTES = `
Without a model, tensors keep their names (those of DDP and torch.compile wrappers, module. and _orig_mod., are taken off) and values
pass bit by bit. With one, the checkpoint must be the model's, in any layout that the model knows; what it computes is added, what it
does not use left out. A folder for OUT is what the tool of the layout loads: its weights and config.json. Every tensor that is cast,
split, joined, missing or extra is told. Memory stays small whatever the size, and OUT is written whole or not at all.`;

export const convertCommand = (context: Context): Command =>
  new Command('convert')
    .description(
      'Converts a checkpoint: between PyTorch, safetensors, and the layouts that a model knows, such as diffusers.',
    )
    .argument('<in>', `the checkpoint: ${CHECKPOINT}; a training’s own too`)
    .argument('<out>', 'FILE.safetensors, FILE.pt (.pth, .bin, .ckpt), or with --to a new folder')
    .option(
      '--model <model>',
      'the model file that it belongs to, MODEL.ts: needed for --to and for IN in another layout',
    )
    .option(
      '--to <layout>',
      'the layout to write, by the model’s name for it, such as diffusers (default: the model’s own names)',
    )
    .option(
      '--dtype <type>',
      'cast floats: f32, f16, bf16 or f64 (default: as they are)',
      oneOf('--dtype', ['f32', 'f16', 'bf16', 'f64']),
    )
    .option(...PART, part)
    .option('--lora <file>', 'add the low-rank steps of an adapter, as ditc train --lora or PEFT wrote it')
    .option(
      '--lora-scale <x>',
      'what they are multiplied by: α/rank of the tool that trained them (default: 1, which is right for ditc’s)',
      realNumber('--lora-scale'),
    )
    .option(
      '--shard-size <size>',
      'of safetensors: no file larger, such as 5GB; more is written as OUT-00001-of-00002.safetensors and so on, with OUT.safetensors.index.json',
      (text) => parseBytes(text, '--shard-size'),
    )
    .option('--json', 'print what was done as JSON, tensor by tensor')
    .addHelpText(
      'after',
      NOTES +
        '\n' +
        examples(
          'ditc convert DiT-XL-2-256x256.pt dit-xl.safetensors',
          'ditc convert dit-xl.safetensors dit-xl-f16.safetensors --dtype f16',
          'ditc convert DiT-XL-2-256x256.pt dit-xl/ --model models/dit-xl.ts --to diffusers',
          'ditc convert DiT-XL-2-256/transformer dit-xl.pt --model models/dit-xl.ts',
          'ditc convert DiT-XL-2-256x256.pt cats.safetensors --lora runs/cats/adapter.safetensors',
          'ditc convert runs/digits/checkpoints/0002000.safetensors digits.pt --part ema',
        ),
    )
    .action((from: string, to: string, options: Options) => convert(from, to, options, context));

async function convert(from: string, to: string, options: Options, { terminal }: Context): Promise<void> {
  const start = performance.now();
  const [{ convertCheckpoint }, { reportLines, reportJson }] = await Promise.all([
    import('../convert/convert.ts'),
    import('../convert/report.ts'),
  ]);
  const { conversion, written } = await convertCheckpoint(from, to, options, terminal);
  const took = performance.now() - start;
  if (options.json) {
    const done = { out: to, ...written, ...reportJson(conversion), seconds: Math.round(took) / 1000 };
    terminal.out(JSON.stringify(done, null, 2));
    return;
  }
  for (const note of conversion.notes) terminal.err(`note: ${note}`);
  for (const line of reportLines(conversion)) terminal.out(line);
  const files = written.files > 1 ? ` in ${plural(written.files, 'file')}` : '';
  terminal.out(`wrote ${to}${files}  ${plural(written.tensors, 'tensor')} · ${bytes(written.bytes)}  ${seconds(took)}`);
}
