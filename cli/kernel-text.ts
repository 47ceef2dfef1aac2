/** One kernel of `ditc inspect`: the lines of the model that it came from, then its WGSL. */
import type { Artefact } from '../compiler/emit/artefact.ts';
import { UsageError } from './errors.ts';
import { nearestName } from '../runtime/checkpoint/suggest.ts';
import type { Terminal } from './terminal.ts';

interface Kernel {
  readonly artefact: Artefact;
  sourceText(file: string): string | undefined;
}

export function kernelJson(artefact: Artefact, name: string): string {
  const wgsl = wgslOf(artefact, name).trimEnd();
  return JSON.stringify({ name, ...artefact.manifest.kernels[name], source: placesOf(artefact, name), wgsl }, null, 2);
}

export function kernelText({ artefact, sourceText }: Kernel, name: string, { outColors: c }: Terminal): string {
  const wgsl = wgslOf(artefact, name).trimEnd();
  const lines = new Map<string, Set<number>>();
  for (const place of placesOf(artefact, name)) {
    const [, file, line] = /^(.*):(\d+):\d+$/.exec(place) ?? [];
    if (file) lines.set(file, (lines.get(file) ?? new Set()).add(Number(line)));
  }
  const provenance = [...lines].flatMap(([file, numbers]) => {
    const text = sourceText(file)?.split('\n');
    const shown = [...numbers]
      .sort((a, b) => a - b)
      .map((n) => {
        const line = text?.[n - 1];
        return `//   ${String(n).padStart(4)} | ${line?.trim() ?? '(not found from here)'}`;
      });
    return [`// ${file}`, ...shown];
  });
  return [...provenance.map((line) => c.dim(line)), ...(provenance.length ? [''] : []), wgsl].join('\n');
}

/** Places in the model of all dispatches of a kernel. */
function placesOf({ manifest }: Artefact, name: string): string[] {
  const dispatches = Object.values(manifest.entries).flatMap((entry) => entry.dispatches);
  return [...new Set(dispatches.filter((d) => d.kernel === name).flatMap((d) => d.source))];
}

function wgslOf({ wgsl }: Artefact, name: string): string {
  const text = wgsl.get(name);
  if (text !== undefined) return text;
  const known = [...wgsl.keys()];
  const near = nearestName(name, known);
  const fix = `${near ? `did you mean ${near}? ` : ''}use one of ${known.join(', ')}`;
  throw new UsageError({ what: `--kernel: there is no kernel ${name}`, fix });
}
