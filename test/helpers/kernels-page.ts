/** In a page: runs entries dispatch by dispatch, and tells what each kernel read and wrote; says what its browser has against WGSL. */
import { drawInputs, fillConstants } from '../../cli/verify/values.ts';
import type { Resource, TensorSpec } from '../../compiler/emit/artefact.ts';
import { openDevice, specFromAdapter } from '../../runtime/device.ts';
import { Program } from '../../runtime/program.ts';
import { initialise } from '../../runtime/weights.ts';
import type { Values } from '../../runtime/transfer.ts';
import { unpacked } from '../../runtime/web/artefact.ts';
import type { PackedArtefact } from '../../runtime/web/model-file.ts';
import { page } from '../../runtime/web/page.ts';

export interface Place {
  readonly spec: TensorSpec;
  readonly resource: Resource;
}

/** A dispatch to be watched. Of what it writes, what it does not also read is poisoned first. */
export interface Watched {
  readonly entry: string;
  readonly index: number;
  readonly reads: readonly Place[];
  readonly writes: readonly (Place & { readonly replaces: boolean })[];
}

/** The bytes of 32-bit values as base64. */
export interface Seen {
  readonly before: readonly string[];
  readonly after: readonly string[];
}

const SEED = 0;

async function open() {
  const adapter = await page.navigator?.gpu?.requestAdapter();
  if (!adapter) throw new Error('the browser gives no GPU');
  return openDevice(adapter, specFromAdapter(adapter, 'software', 'safe'));
}

export async function watch(packed: PackedArtefact, watched: readonly Watched[]): Promise<Seen[]> {
  const opened = await open();
  const artefact = unpacked(packed);
  const program = await Program.create(opened.device, artefact);
  await initialise(program, artefact, SEED);
  await fillConstants(program, SEED, { params: true });
  const seen: Seen[] = [];
  for (const name of program.entries) {
    for (const [input, values] of drawInputs(artefact.manifest, name, SEED)) program.write(input, values);
    const stepper = program.stepper(name);
    const read = (places: readonly Place[]) =>
      Promise.all(places.map(async ({ spec, resource }) => base64(await stepper.read(spec, resource))));
    let next = 0;
    for (const { index, reads, writes } of watched.filter(({ entry }) => entry === name)) {
      stepper.run(next, index);
      const before = await read(reads);
      writes.forEach(({ resource, replaces }) => replaces || stepper.poison(resource));
      stepper.run(index, index + 1);
      seen.push({ before, after: await read(writes) });
      next = index + 1;
    }
    stepper.run(next, artefact.manifest.entries[name].dispatches.length);
    stepper.finish();
  }
  await program.sync();
  program.close();
  opened.check();
  opened.close();
  return seen;
}

const base64 = ({ buffer, byteOffset, byteLength }: Values): string =>
  (new Uint8Array(buffer, byteOffset, byteLength) as unknown as { toBase64(): string }).toBase64();

/** What the front end has against each shader: nothing, of one that it takes. */
export async function objections(shaders: readonly string[]): Promise<string[]> {
  const { device, close } = await open();
  const found: string[] = [];
  for (const code of shaders) {
    device.pushErrorScope('validation');
    const { messages } = await device.createShaderModule({ code }).getCompilationInfo();
    const error = await device.popErrorScope();
    const errors = messages.filter(({ type }) => type === 'error').map((m) => `${m.lineNum}: ${m.message}`);
    found.push([...errors, ...(error && !errors.length ? [error.message] : [])].join('\n'));
  }
  close();
  return found;
}
