/** What the documents and comments of the repository cite is in it. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { filesUnder, ROOT } from './helpers/imports.ts';

const DOCUMENTS = [
  'README.md',
  'CONTRIBUTING.md',
  'CHANGELOG.md',
  ...['docs', 'compiler', 'bench', 'test'].flatMap(markdown),
];
const SOURCES = ['compiler', 'runtime', 'models', 'cli', 'library', 'test', 'docs', 'bench'].flatMap((folder) =>
  filesUnder(folder, /\.(ts|mjs|js|py|rules|ir)$/),
);

function markdown(folder: string): string[] {
  return filesUnder(folder, /\.md$/);
}

const textOf = (file: string): string => readFileSync(join(ROOT, file), 'utf8');
const isThere = (path: string): boolean => existsSync(join(ROOT, path));

describe('documents', () => {
  it.each(DOCUMENTS)('%s links to what is there', (file) => {
    const links = [...textOf(file).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => link.replace(/#.*/, ''));
    const own = links.filter((link) => link && !/^[a-z]+:/.test(link));
    expect(own.filter((link) => !isThere(join(dirname(file), link)))).toEqual([]);
  });
});

it('compiler/README.md says what every folder of compiler/ is', () => {
  const folders = readdirSync(join(ROOT, 'compiler'), { withFileTypes: true }).filter((item) => item.isDirectory());
  const text = textOf('compiler/README.md');
  expect(folders.map(({ name }) => name).filter((name) => !text.includes(`](${name})`))).toEqual([]);
});

describe('commands and examples', () => {
  it.each(DOCUMENTS)('of %s name files that are there', (file) => {
    const paths = textOf(file).matchAll(
      /(?<![\w/.<-])(?:models|test|compiler|bench|docs|runtime|cli)\/[\w./-]+\.(?:ts|ir|md|py|rules|safetensors)\b/g,
    );
    expect([...paths].map(([path]) => path).filter((path) => !isThere(path))).toEqual([]);
  });
});

describe('comments', () => {
  it('cite documents that are there', () => {
    const cited = SOURCES.flatMap((file) =>
      [...textOf(file).matchAll(/(?<![\w/.-])(?:(?:docs|spec|design)\/)?[\w-]+\.md\b/g)].map(([path]) => ({
        file,
        path,
      })),
    );
    const missing = cited.filter(({ file, path }) => !isThere(path) && !isThere(join(dirname(file), path)));
    expect(missing).toEqual([]);
  });
});
