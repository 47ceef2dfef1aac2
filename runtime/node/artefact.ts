/**
 * Reads an artefact folder (`codegen-out/<model>/`): manifest.json, kernels/*.wgsl and, if there are any, the dense values in
 * constants.safetensors; each is what the build wrote, by its digest, or refused.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Artefact } from '../../compiler/emit/artefact.ts';
import { openSafetensors } from '../checkpoint/safetensors.ts';
import type { ByteSource } from '../checkpoint/source.ts';
import { RuntimeError } from '../error.ts';
import { badManifest, parseManifest, type Signed } from '../manifest.ts';
import { openFile } from './file.ts';

/** More text than any build writes; what is larger was put there by someone else. */
const MOST_TEXT = 256 * 2 ** 20;
/** Bytes read at a time for a digest. */
const CHUNK = 4 * 2 ** 20;

/**
 * Reads an artefact folder into memory (kernels and constants; weights are a checkpoint's business).
 * @throws RuntimeError `not-found` when the folder holds no artefact, `unsupported` for another format number or no digests,
 * `bad-artefact` with the path of the value that is wrong, or for a file that is missing or not as it was built.
 */
export async function readArtefact(dir: string): Promise<Artefact & { manifest: Signed }> {
  const manifest = await readManifest(dir);
  const wgsl = new Map<string, string>();
  for (const [name, { file }] of Object.entries(manifest.kernels)) wgsl.set(name, await readBuilt(dir, manifest, file));
  return { manifest, wgsl, data: await readData(dir, manifest) };
}

/** The manifest of an artefact folder, as the build wrote it. @throws as {@link readArtefact}. */
export async function readManifest(dir: string): Promise<Signed> {
  const path = join(dir, 'manifest.json');
  const { digest, ...signed } = parseManifest(path, await readText(path).catch((error) => notAnArtefact(dir, error)));
  const found = createHash('sha256').update(JSON.stringify(signed)).digest('hex');
  if (found !== digest) throw changed(path, digest, found);
  return { ...signed, digest };
}

/** The text of a file beside the manifest, as the build wrote it. @throws RuntimeError `bad-artefact`. */
export async function readBuilt(dir: string, manifest: Signed, name: string): Promise<string> {
  const path = join(dir, name);
  const source = await openBuilt(path);
  try {
    await checkDigest(source, manifest, name);
    return await textOf(source);
  } finally {
    await source.close();
  }
}

function notAnArtefact(dir: string, cause: unknown): never {
  const reason = cause instanceof RuntimeError ? (cause.why ?? cause.what) : String(cause);
  const what = 'it is not an artefact folder';
  const fix = /\.[cm]?[jt]s$/.test(dir)
    ? 'that is a model file: compile it first, with ditc build or compile of ditc/compiler'
    : 'pass a folder that ditc build wrote, such as codegen-out/dit-xl';
  throw new RuntimeError({ code: 'not-found', where: dir, what, why: `manifest.json: ${reason}`, fix, cause });
}

async function readText(path: string): Promise<string> {
  const source = await openFile(path);
  try {
    return await textOf(source);
  } finally {
    await source.close();
  }
}

async function textOf(source: ByteSource): Promise<string> {
  if (source.size > MOST_TEXT)
    throw badManifest(source.name, `it has ${source.size} bytes`, 'no build writes so much text');
  return new TextDecoder().decode(await source.read(0, source.size));
}

async function openBuilt(path: string): Promise<ByteSource> {
  try {
    return await openFile(path);
  } catch (error) {
    if (!(error instanceof RuntimeError)) throw error;
    throw badManifest(path, 'a file of the artefact cannot be read', error.why ?? error.what);
  }
}

/** Throws unless the file is what the build wrote under this name. */
async function checkDigest(source: ByteSource, { files }: Signed, name: string): Promise<void> {
  const expected = Object.hasOwn(files, name) ? files[name] : undefined;
  if (!expected) throw badManifest(source.name, 'the manifest has no digest of it', 'a build writes one for each file');
  const hash = createHash('sha256');
  for (let at = 0; at < source.size; at += CHUNK) hash.update(await source.read(at, Math.min(CHUNK, source.size - at)));
  const found = hash.digest('hex');
  if (found !== expected) throw changed(source.name, expected, found);
}

function changed(path: string, expected: string, found: string): RuntimeError {
  const why = `its SHA-256 is ${found.slice(0, 12)}…, the manifest says ${expected.slice(0, 12)}…`;
  return badManifest(path, 'the file is not as ditc build wrote it: it was changed or damaged since', why);
}

/** The constants, and the first values of parameters and states that have fixed ones. */
async function readData(dir: string, manifest: Signed): Promise<Artefact['data']> {
  const name = 'constants.safetensors';
  const path = join(dir, name);
  const fixed = [...manifest.params, ...manifest.states].filter((spec) => spec.init.kind === 'file');
  const wanted = [...manifest.constants, ...fixed.map((spec) => ({ ...spec, name: `init.${spec.name}` }))];
  const data = new Map<string, Float32Array | Int32Array | Uint32Array>();
  if (wanted.length === 0) return data;
  const source = await openBuilt(path);
  try {
    await checkDigest(source, manifest, name);
    const file = await openSafetensors(source);
    for (const { name, shape, dtype } of wanted) {
      const found = file.tensors.get(name);
      if (!found || found.shape.join() !== shape.join()) {
        const why = found ? `it is [${found.shape.join(', ')}]` : 'the file does not have it';
        throw badManifest(path, `tensor ${name} must be [${shape.join(', ')}]`, why);
      }
      if (dtype === 'f32' || dtype === 'f16') data.set(name, await file.readF32(name));
      else {
        const values = await file.readI32(name);
        data.set(name, dtype === 'i32' ? values : new Uint32Array(values));
      }
    }
    return data;
  } finally {
    await source.close();
  }
}
