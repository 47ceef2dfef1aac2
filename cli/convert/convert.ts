/** A conversion from its paths to the written file: what is checked, read and written, and in which order. */
import { existsSync, mkdirSync, realpathSync, renameSync, rmdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fixedIn } from '../../compiler/compile.ts';
import type { CheckpointLayout, Model } from '../../compiler/dsl/index.ts';
import type { DType } from '../../runtime/checkpoint/dtype.ts';
import { planConversion, type Conversion, type ConvertedModel } from '../../runtime/checkpoint/convert.ts';
import { writeSafetensors } from '../../runtime/checkpoint/safetensors-write.ts';
import type { TensorFile } from '../../runtime/checkpoint/source.ts';
import { nearestName } from '../../runtime/checkpoint/suggest.ts';
import type { TensorToWrite } from '../../runtime/checkpoint/tensor-write.ts';
import { writeTorch } from '../../runtime/checkpoint/torch-write.ts';
import { mergeAdapter } from '../../runtime/checkpoint/low-rank.ts';
import { trainedWeights, type Part } from '../../runtime/checkpoint/trained.ts';
import { RuntimeError } from '../../runtime/error.ts';
import { checkpointFiles } from '../../runtime/node/checkpoint.ts';
import { writeAtomically, type Write } from '../../runtime/node/file.ts';
import { discard, temporaryIn } from '../../runtime/node/temporary.ts';
import { UsageError } from '../errors.ts';
import { fileError } from '../../library/file-error.ts';
import { withWeights } from '../gpu.ts';
import { paramsOf } from '../model-params.ts';
import { loadModel, type LoadedModel } from '../model.ts';
import { checkNewFolder, checkOutputFile } from '../out-path.ts';
import { startProgress } from '../progress.ts';
import { bytesOfAll, indexOf, shardsOf, writeShards } from './shards.ts';
import type { Terminal } from '../terminal.ts';
import { plural } from '../text.ts';

export interface ConvertRequest {
  readonly model?: string;
  readonly to?: string;
  readonly dtype?: DType;
  readonly part?: Part;
  /** Low-rank steps to merge into the weights: a file, and what they are multiplied by. */
  readonly lora?: string;
  readonly loraScale?: number;
  /** Bytes of tensors that a file may have; more are written as several with an index. */
  readonly shardSize?: number;
}

export interface Converted {
  readonly conversion: Conversion;
  readonly written: { readonly tensors: number; readonly bytes: number; readonly files: number };
}

const TORCH = /\.(pt|pth|bin|ckpt)$/i;
const SAFETENSORS = /\.safetensors$/i;

/** @throws UsageError, DitcError, RuntimeError: nothing is written then. */
export async function convertCheckpoint(
  from: string,
  to: string,
  request: ConvertRequest,
  terminal: Terminal,
): Promise<Converted> {
  const isFile = TORCH.test(to) || SAFETENSORS.test(to);
  if (!isFile && request.to === undefined) throw notAFile(to);
  if (request.shardSize !== undefined && TORCH.test(to)) throw oneFile(to);
  if (isFile) checkOutputFile(to);
  else checkNewFolder(to);
  const loaded = request.model === undefined ? undefined : loadModel(request.model, terminal);
  const layout = layoutFor(request.to, loaded, isFile);
  await checkOther(from, to);
  return withMerged(from, request, async ({ file, note }) => {
    const planned = await planConversion(file, {
      model: loaded && modelOf(loaded),
      layout: request.to,
      dtype: request.dtype,
    });
    const notes = [...(note ? [note] : []), ...planned.notes, ...(layout?.remark ? [layout.remark] : [])];
    const conversion = { ...planned, notes };
    const { tensors } = conversion;
    const total = bytesOfAll(tensors);
    const bar = startProgress(terminal, 'converting', total, '');
    let done = 0;
    const counting =
      (write: Write): Write =>
      async (bytes) => {
        await write(bytes);
        bar.update(Math.min((done += bytes.length), total));
      };
    try {
      let files = 1;
      const write = async (path: string) => {
        const shards = shardsOf(path, tensors, request.shardSize);
        files = shards.size;
        if (files > 1) for (const made of [...shards.keys(), indexOf(path)]) await checkOther(from, made);
        await writeShards(path, shards, (shard, part) =>
          writeAtomically(shard, (sink) => writeTensors(shard, counting(sink), part, metadataOf(file))),
        );
      };
      if (isFile) await write(to);
      else await writeNewFolder(to, layout!, write);
      return { conversion, written: { tensors: tensors.length, bytes: total, files } };
    } finally {
      bar.stop();
    }
  });
}

/** The weights to convert, with the steps of an adapter added where one is given. */
const withMerged = <T>(
  from: string,
  { part, lora, loraScale = 1 }: ConvertRequest,
  work: (weights: { readonly file: TensorFile; readonly note?: string }) => Promise<T>,
): Promise<T> =>
  withWeights({ path: from, part }, async (given) => {
    const { file, note } = trainedWeights(given!, part);
    if (lora === undefined) return work({ file, note });
    return withWeights({ path: lora, part: undefined }, async (adapter) => {
      const { file: whole, merged } = mergeAdapter(file, adapter!, loraScale);
      const said = `the steps of ${lora} are added to ${plural(merged, 'matrix', 'matrices')}`;
      return work({ file: whole, note: note === undefined ? said : `${note}; ${said}` });
    });
  });

const writeTensors = (
  path: string,
  write: Write,
  tensors: readonly TensorToWrite[],
  metadata: Readonly<Record<string, string>>,
): Promise<void> => (TORCH.test(path) ? writeTorch(write, tensors) : writeSafetensors(write, tensors, metadata));

/** `format` is what Python's loaders ask for. What a file says of itself goes along; a training's state does not. */
function metadataOf({ metadata }: TensorFile): Record<string, string> {
  const kept = Object.entries(metadata).filter(([key]) => !/^(ditc\.training|torch\.part|args\.)/.test(key));
  return { ...Object.fromEntries(kept), format: 'pt' };
}

function modelOf(loaded: LoadedModel): ConvertedModel {
  const { params, data } = paramsOf(loaded);
  loaded.checked();
  return {
    params: params.map((spec) => ({ ...spec, computed: spec.init.kind === 'file' })),
    fixed: fixedIn(loaded.model),
    computed: (name) => Float32Array.from(data.get(`init.${name}`)!),
  };
}

/** The layout to be written; undefined for the model's own names. */
function layoutFor(
  name: string | undefined,
  loaded: LoadedModel | undefined,
  isFile: boolean,
): CheckpointLayout | undefined {
  if (name === undefined) return undefined;
  if (!loaded) {
    const why = 'a layout is one of a model';
    throw new UsageError({ what: `--to ${name} needs a model`, why, fix: 'add --model MODEL.ts' });
  }
  const layouts = (loaded.model as Model).layouts ?? {};
  const layout = Object.hasOwn(layouts, name) ? layouts[name] : undefined;
  const known = Object.keys(layouts);
  if (!layout) {
    const near = nearestName(name, known);
    const fix = near ? `did you mean ${near}?` : known.length ? `use ${known.join(' or ')}` : 'leave --to out';
    const why = known.length ? undefined : `${loaded.name} knows no other layout than its own`;
    throw new UsageError({ what: `--to is ${name}`, why, fix });
  }
  if (isFile || layout.folder) return layout;
  throw new UsageError({ what: `${name} is a layout of files`, fix: 'give OUT an ending, such as .safetensors' });
}

function oneFile(to: string): UsageError {
  const fix = 'give OUT.safetensors, or leave --shard-size out';
  return new UsageError({ what: `--shard-size and ${to}`, why: 'files of torch.save are whole', fix });
}

function notAFile(to: string): UsageError {
  const why = 'its ending says what to write';
  const fix = 'give FILE.safetensors or FILE.pt, or a folder with --model MODEL.ts --to diffusers';
  return new UsageError({ what: `OUT is ${to}`, why, fix });
}

/** What is being read is not written over: a cast, say, could not be taken back. */
async function checkOther(from: string, to: string): Promise<void> {
  if (!existsSync(to)) return;
  const target = realpathSync(to);
  const files = await checkpointFiles(from);
  if (!files.some((file) => existsSync(file) && realpathSync(file) === target)) return;
  throw new UsageError({ what: 'IN and OUT are the same file', fix: 'give OUT another name' });
}

/** All files of a new folder, or no folder. */
async function writeNewFolder(
  path: string,
  { folder }: CheckpointLayout,
  writeWeights: (path: string) => Promise<void>,
): Promise<void> {
  const target = resolve(path);
  let made: string | undefined;
  try {
    mkdirSync(dirname(target), { recursive: true });
    made = temporaryIn(dirname(target), 'new');
    mkdirSync(made);
    await writeWeights(join(made, folder!.weights));
    const config = `${JSON.stringify(folder!.config, null, 2)}\n`;
    await writeAtomically(join(made, 'config.json'), (write) => write(new TextEncoder().encode(config)));
    if (existsSync(target)) rmdirSync(target);
    renameSync(made, target);
  } catch (error) {
    throw error instanceof RuntimeError ? error : fileError(path, 'cannot write the folder', error);
  } finally {
    if (made !== undefined) discard(made);
  }
}
