/** `index.ts` of an artefact: the names, shapes and dtypes of its entries as TypeScript types, and `load`, which has them. */
import type { EntrySpec, Manifest, TensorSpec } from './artefact.ts';

const header = ({ model, source, device }: Manifest) => `/**
 * ${model}: what its entries take and give. Written by \`ditc build ${source}\` for device ${device};
 * building again replaces it.
 */`;

const IMPORT = `import { load as loadArtefact, type LoadOptions, type RunnableModel, type Tensor } from 'ditc/runtime';`;

const LOAD = `export interface Signature {
  entries: Entries;
  params: Params;
  states: States;
}

/** The model, ready to run: from the folder that this file is in, or another that holds the same artefact. */
export function load(options: LoadOptions & { folder?: string | URL } = {}): Promise<RunnableModel<Signature>> {
  const { folder = new URL('.', import.meta.url), ...others } = options;
  return loadArtefact<Signature>(folder, others);
}`;

/** The text of `index.ts`. */
export function bindingsText(manifest: Manifest): string {
  const { entries, params } = manifest;
  const states = manifest.states.filter(({ scratch }) => !scratch);
  const parts = [
    header(manifest),
    IMPORT,
    `export const model = ${quoted(manifest.model)};`,
    exported('Entries', 'Inputs and outputs of each entry.', Object.entries(entries).flatMap(entryLines)),
    exported('Params', 'Weights.', params.map(property)),
    exported('States', 'What the device keeps between runs.', states.map(property)),
    LOAD,
  ];
  return `${parts.join('\n\n')}\n`;
}

const exported = (name: string, doc: string, lines: readonly string[]): string =>
  [`/** ${doc} */`, `export interface ${name} {`, ...indented(lines), '}'].join('\n');

const entryLines = ([name, { inputs, outputs }]: [string, EntrySpec]): string[] => [
  `${key(name)}: {`,
  ...indented([...groupLines('inputs', inputs), ...groupLines('outputs', outputs)]),
  '};',
];

const groupLines = (name: string, specs: readonly TensorSpec[]): string[] =>
  specs.length ? [`${name}: {`, ...indented(specs.map(property)), '};'] : [`${name}: {};`];

const indented = (lines: readonly string[]): string[] => lines.map((line) => `  ${line}`);

const property = (spec: TensorSpec): string => `${key(spec.name)}: ${tensorType(spec)};`;

const tensorType = ({ shape, dtype }: TensorSpec): string => `Tensor<${quoted(dtype)}, [${shape.join(', ')}]>`;

const key = (name: string): string => (/^[A-Za-z_$][\w$]*$/.test(name) ? name : quoted(name));

const quoted = (text: string): string =>
  `'${JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")}'`;
