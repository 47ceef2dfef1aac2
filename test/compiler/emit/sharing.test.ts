/** Kernels that differ in the lengths of their arrays alone are one, whose arrays have no length; others stay two. */
import { describe, expect, it } from 'vitest';
import { parseGraph } from '../../../compiler/ir/index.ts';
import { opTable } from '../../../compiler/ops/index.ts';
import { compileGraphs } from '../../../compiler/compile.ts';
import { PORTABLE } from '../../../compiler/device.ts';

const entry = (name: string, n: number, op: string) =>
  parseGraph(`graph @${name}(%x: f32[${n}]) {\n  %y = ${op} %x : f32[${n}]\n  return ${name}_y = %y\n}`, opTable);

const compile = (...entries: Parameters<typeof entry>[]) =>
  compileGraphs(
    entries.map((e) => entry(...e)),
    { device: PORTABLE },
  );

describe('kernels of several sizes', () => {
  it('are one, with arrays of any length, a grid for each use, and bindings as long as the shortest', () => {
    const { manifest, wgsl } = compile(['a', 640, 'exp'], ['b', 128, 'exp']);
    const [[name, text]] = [...wgsl];
    expect(wgsl.size).toBe(1);
    expect(text).toContain('2 uses in 2 sizes');
    expect(text.match(/array<f32>;/g)).toHaveLength(2);
    expect(manifest.kernels[name].bindings.map(({ bytes }) => bytes)).toEqual([512, 512]);
    expect(manifest.entries.a.dispatches[0].workgroups).toEqual([10, 1, 1]);
    expect(manifest.entries.b.dispatches[0].workgroups).toEqual([2, 1, 1]);
  });

  it('stay two where the size is in what they do', () => {
    // 100 is not whole workgroups: the last one's edge is in the kernel.
    expect(compile(['a', 640, 'exp'], ['b', 100, 'exp']).wgsl.size).toBe(2);
  });

  it('stay two where they call different functions', () => {
    expect(compile(['a', 640, 'exp'], ['b', 128, 'sin']).wgsl.size).toBe(2);
    expect(compile(['a', 640, 'floor'], ['b', 640, 'abs']).wgsl.size).toBe(2);
  });

  it('stay two where numbers differ, whatever buffers are called', () => {
    const scaled = (name: string, input: string, by: string) => {
      const text = `  %c = constant {dtype = "f32", shape = [], value = ${by}} : f32[]\n  %y = mul %${input}, %c : f32[64]`;
      return parseGraph(`graph @${name}(%${input}: f32[64]) {\n${text}\n  return ${name}_y = %y\n}`, opTable);
    };
    const graphs = [scaled('a', 'e21', '1e21'), scaled('b', 'e22', '1e22')];
    expect(compileGraphs(graphs, { device: PORTABLE }).wgsl.size).toBe(2);
  });

  it('are one whatever buffers are called', () => {
    const called = (name: string, x: string, n: number) =>
      parseGraph(
        `graph @${name}(%${x}: f32[${n}]) {\n  %r = exp %${x} : f32[${n}]\n  return ${name}_r = %r\n}`,
        opTable,
      );
    expect(compileGraphs([called('a', 'x', 640), called('b', 'h', 128)], { device: PORTABLE }).wgsl.size).toBe(1);
  });
});
