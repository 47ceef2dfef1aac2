/** A device for tests, and graphs run on it: compiled for its spec, replayed by the runtime, read back. */
import type { Graph } from '../../compiler/ir/index.ts';
import type { DType } from '../../compiler/ir/index.ts';
import { compileGraphs } from '../../compiler/compile.ts';
import type { DeviceSpec } from '../../compiler/device.ts';
import type { Artefact } from '../../compiler/emit/artefact.ts';
import { openDevice, type OpenDevice } from '../../runtime/device.ts';
import { findAdapter, type FoundAdapter } from '../../runtime/node/adapter.ts';
import { Program } from '../../runtime/program.ts';
import type { Values } from '../../runtime/transfer.ts';

export class TestGpu {
  readonly found: FoundAdapter;
  readonly opened: OpenDevice;

  private constructor(found: FoundAdapter, opened: OpenDevice) {
    this.found = found;
    this.opened = opened;
  }

  static async open(): Promise<TestGpu> {
    const found = await findAdapter();
    return new TestGpu(found, await openDevice(found.adapter, found.spec));
  }

  get spec(): DeviceSpec {
    return this.found.spec;
  }

  /** Outputs of a one-graph artefact for given values of inputs, params and states. */
  async run(artefact: Artefact, entry: string, bindings: Readonly<Record<string, ArrayLike<number>>>) {
    const program = await Program.create(this.opened.device, artefact);
    try {
      const { manifest } = artefact;
      for (const spec of manifest.entries[entry].inputs)
        program.write(spec.name, typed(spec.dtype, bindings[spec.name]));
      for (const spec of manifest.params) await program.setParam(spec.name, typed(spec.dtype, bindings[spec.name]));
      // Tables of hoisted values are filled by the prelude.
      const given = manifest.states.filter(({ name, scratch }) => !scratch && bindings[name]);
      for (const spec of given) program.writeState(spec.name, typed(spec.dtype, bindings[spec.name]));
      await program.run(entry);
      const outputs: Record<string, Values> = {};
      for (const { name } of manifest.entries[entry].outputs) outputs[name] = await program.readOutput(entry, name);
      const updates: Record<string, Values> = {};
      for (const { kind, name } of manifest.entries[entry].changes) {
        updates[name] = await (kind === 'state' ? program.readState(name) : program.readParam(name));
      }
      return { outputs, updates };
    } finally {
      program.close();
    }
  }

  runGraph(graph: Graph, bindings: Readonly<Record<string, ArrayLike<number>>>, device: DeviceSpec = this.spec) {
    return this.run(compileGraphs([graph], { device, verify: true }), graph.name, bindings);
  }

  close(): void {
    this.opened.close();
    this.found.close();
  }
}

export function typed(dtype: DType, values: ArrayLike<number>): Values {
  if (dtype === 'i32') return Int32Array.from(values);
  if (dtype === 'u32' || dtype === 'bool') return Uint32Array.from(values);
  return Float32Array.from(values);
}
