/** Opens a model file and all it imports as a TypeScript program, configured as this package's own tsconfig is. */
import { existsSync } from 'node:fs';
import type { Project, ts } from 'ts-morph';
import { morph, typescript } from './morph.ts';
import { CODE_ROOT, DSL_INDEX, isCompilerFile, isPackageModel, PACKAGE_ROOT } from './paths.ts';

/** What a model file may use beyond the language: no @types package is opened, so that checking stays fast. */
const AMBIENT = `
declare module 'node:*';
declare const console: Record<'log' | 'info' | 'warn' | 'error' | 'debug' | 'table', (...data: unknown[]) => void>;
interface ImportMeta { readonly url: string; readonly filename: string; readonly dirname: string }
`;
const AMBIENT_FILE = `${PACKAGE_ROOT}/compiler/frontend/ambient.d.ts`;

export function compilerOptions(): ts.CompilerOptions {
  const ts = typescript();
  return {
    target: ts.ScriptTarget.ES2022,
    lib: ['lib.es2023.d.ts'],
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    allowImportingTsExtensions: true,
    resolveJsonModule: true,
    esModuleInterop: true,
    isolatedModules: true,
    strict: true,
    noFallthroughCasesInSwitch: true,
    noImplicitOverride: true,
    noEmit: true,
    skipLibCheck: true,
    types: [],
    // Built, the DSL that this package's models import by path lies in another folder.
    rootDirs: [PACKAGE_ROOT, CODE_ROOT],
    paths: {
      ditc: [DSL_INDEX],
      'ditc/dsl': [DSL_INDEX],
      'ditc/models/*': [`${PACKAGE_ROOT}/models/*.ts`, `${PACKAGE_ROOT}/models/*`],
    },
  };
}

/** One for the process: the standard library and the DSL are parsed once, user files anew for each load. */
let project: Project | undefined;

function sharedProject(): Project {
  if (!project) {
    const { Project, ts } = morph();
    project = new Project({
      compilerOptions: compilerOptions(),
      skipAddingFilesFromTsConfig: true,
      skipFileDependencyResolution: true,
      ...(IS_BUILT_CLONE && {
        resolutionHost: (host, options) => ({
          resolveModuleNames: (names, from) =>
            names.map((name) => ts.resolveModuleName(name, from, options(), withoutSources(host)).resolvedModule),
        }),
      }),
    });
    project.createSourceFile(AMBIENT_FILE, AMBIENT, { overwrite: true });
  }
  return project;
}

/**
 * Whether this is built and lies in its repository, as of a clone that is linked into another project: then the DSL's sources are there too,
 * where models import it from.
 */
const IS_BUILT_CLONE = CODE_ROOT !== PACKAGE_ROOT && existsSync(`${PACKAGE_ROOT}/compiler`);

/** What was built is the DSL, not what it was built from. */
const withoutSources = <H extends ts.ModuleResolutionHost>(host: H): H =>
  IS_BUILT_CLONE
    ? { ...host, fileExists: (file) => !file.startsWith(`${PACKAGE_ROOT}/compiler/`) && host.fileExists(file) }
    : host;

export interface OpenedModel {
  readonly program: ts.Program;
  /**
   * The model file, then everything it imports outside the compiler, in a fixed order. This package's own models are among them
   * for each other alone: whoever imports them from elsewhere need not check them again.
   */
  readonly sources: readonly ts.SourceFile[];
}

/** Parses a model file (absolute path) and what it imports, and gives them to `use`. */
export function withModelProgram<T>(file: string, use: (opened: OpenedModel) => T): T {
  const shared = sharedProject();
  shared.addSourceFileAtPath(file);
  const program = shared.getProgram().compilerObject;
  const root = program.getSourceFile(file)!;
  const isKnown = (name: string) => isCompilerFile(name) || (isPackageModel(name) && !isPackageModel(file));
  const imported = program
    .getSourceFiles()
    .filter((s) => s !== root && !s.isDeclarationFile && !s.fileName.endsWith('.json') && !isKnown(s.fileName))
    .sort((a, b) => (a.fileName < b.fileName ? -1 : 1));
  const sources = [root, ...imported];
  try {
    return use({ program, sources });
  } finally {
    for (const source of program.getSourceFiles()) {
      if (!source.isDeclarationFile && !isCompilerFile(source.fileName))
        shared.getSourceFile(source.fileName)?.forget();
    }
  }
}

export type Resolver = (specifier: string, from: string) => string | undefined;

/** Resolves imports as the type checker does. */
export function moduleResolver(): Resolver {
  const ts = typescript();
  const options = compilerOptions();
  const host = withoutSources(ts.sys);
  const cache = ts.createModuleResolutionCache(PACKAGE_ROOT, (name) => name, options);
  return (specifier, from) =>
    ts.resolveModuleName(specifier, from, options, host, cache).resolvedModule?.resolvedFileName;
}
