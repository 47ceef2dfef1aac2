/** `index.ts` of an artefact: the names, shapes and dtypes of its entries as TypeScript types, and `load`, which has them. */
import { IndentationText, Project, StructureKind } from 'ts-morph';
import type {
  CodeBlockWriter,
  InterfaceDeclarationStructure,
  OptionalKind,
  PropertySignatureStructure,
} from 'ts-morph';
import type { Manifest, TensorSpec } from './artefact.ts';

const header = ({ model, source, device }: Manifest) => `/**
 * ${model}: what its entries take and give. Written by \`ditc build ${source}\` for device ${device};
 * building again replaces it.
 */`;

const IMPORT = `
import { load as loadArtefact, type LoadOptions, type RunnableModel, type Tensor } from 'ditc/runtime';
`;

const LOAD = `
export interface Signature {
  entries: Entries;
  params: Params;
  states: States;
}

/** The model, ready to run: from the folder that this file is in, or another that holds the same artefact. */
export function load(options: LoadOptions & { folder?: string | URL } = {}): Promise<RunnableModel<Signature>> {
  const { folder = new URL('.', import.meta.url), ...others } = options;
  return loadArtefact<Signature>(folder, others);
}
`;

/** The text of `index.ts`. */
export function bindingsText(manifest: Manifest): string {
  const { params, states } = manifest;
  const project = new Project({
    useInMemoryFileSystem: true,
    manipulationSettings: { indentationText: IndentationText.TwoSpaces },
  });
  // Given all at once: ts-morph reparses the file after each statement added.
  const file = project.createSourceFile('index.ts', {
    statements: [
      header(manifest),
      IMPORT,
      `\nexport const model = ${quoted(manifest.model)};\n`,
      (writer) => writeEntries(writer, manifest),
      exportedInterface('Params', 'Weights.', params.map(property)),
      exportedInterface('States', 'What the device keeps between runs.', states.map(property)),
      LOAD.trim(),
    ],
  });
  return file.getFullText();
}

const exportedInterface = (
  name: string,
  doc: string,
  properties: OptionalKind<PropertySignatureStructure>[],
): InterfaceDeclarationStructure => ({
  kind: StructureKind.Interface,
  isExported: true,
  name,
  docs: [doc],
  properties,
});

/** Written out, because ts-morph has no structure for a type literal inside an interface. */
function writeEntries(writer: CodeBlockWriter, { entries }: Manifest): void {
  writer.newLine().writeLine('/** Inputs and outputs of each entry. */');
  writer.write('export interface Entries').block(() => {
    for (const [name, { inputs, outputs }] of Object.entries(entries)) {
      writer.write(`${key(name)}: `).inlineBlock(() => {
        writeGroup(writer, 'inputs', inputs);
        writeGroup(writer, 'outputs', outputs);
      });
      writer.write(';').newLine();
    }
  });
}

function writeGroup(writer: CodeBlockWriter, name: string, specs: readonly TensorSpec[]): void {
  if (!specs.length) return void writer.writeLine(`${name}: {};`);
  writer.write(`${name}: `).inlineBlock(() => {
    for (const spec of specs) writer.writeLine(`${key(spec.name)}: ${tensorType(spec)};`);
  });
  writer.write(';').newLine();
}

const property = (spec: TensorSpec) => ({ name: key(spec.name), type: tensorType(spec) });

const tensorType = ({ shape, dtype }: TensorSpec): string => `Tensor<${quoted(dtype)}, [${shape.join(', ')}]>`;

const key = (name: string): string => (/^[A-Za-z_$][\w$]*$/.test(name) ? name : quoted(name));

const quoted = (text: string): string =>
  `'${JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")}'`;
