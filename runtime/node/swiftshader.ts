/**
 * The software GPU that comes with ditc: SwiftShader and a Vulkan loader, in an archive of `@sparticuz/chromium` that the
 * published package has a copy of (build.mjs). Unpacks them once per user and version into a cache folder. Needs no root and
 * no system package.
 */
import * as fs from 'node:fs';
import { createRequire } from 'node:module';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliDecompressSync } from 'node:zlib';
import { cacheFolder } from './cache.ts';
import { discard, temporaryIn } from './temporary.ts';

/** The unpacked files, as absolute paths. */
export interface EmbeddedGpu {
  loader: string;
  manifest: string;
  version: string;
}

const PACKAGE = '@sparticuz/chromium';
const ARCHIVE = 'swiftshader.tar.br';
const DRIVER = 'libvk_swiftshader.so';
const LOADER = 'libvulkan.so.1';
const MANIFEST = 'icd.json';

/** Why the embedded GPU cannot work on this machine, or null when it can. */
export function embeddedUnavailable(): string | null {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    return `the embedded SwiftShader is built for linux-x64, this is ${process.platform}-${process.arch}`;
  }
  if (!findArchive()) return `npm package ${PACKAGE} is not installed`;
  return null;
}

/**
 * Unpacks the embedded GPU unless that was done before. Several processes may do so at once: each unpacks into a folder
 * of its own and renames it into place, and the first one wins.
 */
export function unpackEmbedded(): EmbeddedGpu {
  const unavailable = embeddedUnavailable();
  if (unavailable) throw new Error(unavailable);
  const { archive, description } = findArchive()!;
  const { version } = JSON.parse(fs.readFileSync(description, 'utf8')) as { version: string };
  const parent = cacheFolder();
  const folder = path.join(parent, `swiftshader-${version}`);
  if (!isComplete(folder)) {
    const fresh = temporaryIn(parent, 'new');
    try {
      fs.mkdirSync(fresh, { mode: 0o700 });
      const tar = brotliDecompressSync(fs.readFileSync(archive));
      for (const name of [DRIVER, LOADER])
        fs.writeFileSync(path.join(fresh, name), tarFile(tar, name), { mode: 0o755 });
      fs.writeFileSync(path.join(fresh, MANIFEST), manifestText(folder));
      moveIntoPlace(fresh, folder);
    } finally {
      discard(fresh);
    }
  }
  return { loader: path.join(folder, LOADER), manifest: path.join(folder, MANIFEST), version };
}

function moveIntoPlace(fresh: string, folder: string): void {
  for (let attempt = 0; ; attempt++) {
    try {
      fs.renameSync(fresh, folder);
      return;
    } catch (error) {
      // Another process was first: its files are as good as ours.
      if (isComplete(folder)) return;
      if (attempt === 2) throw error;
      // What is there is the remains of something (a cleaned cache, a moved home): out of the way with it.
      fs.rmSync(folder, { recursive: true, force: true });
    }
  }
}

function isComplete(folder: string): boolean {
  try {
    const sized = [DRIVER, LOADER].every((name) => fs.statSync(path.join(folder, name)).size > 0);
    // The manifest holds an absolute path, so a cache that was moved is not complete.
    return sized && fs.readFileSync(path.join(folder, MANIFEST), 'utf8') === manifestText(folder);
  } catch {
    return false;
  }
}

function manifestText(folder: string): string {
  const icd = { file_format_version: '1.0.0', ICD: { library_path: path.join(folder, DRIVER), api_version: '1.1.0' } };
  return JSON.stringify(icd, null, 2) + '\n';
}

/** The archive, and the JSON file that has its version. */
interface Archive {
  readonly archive: string;
  readonly description: string;
}

/** The copy beside this file, where ditc is installed; else the one in the package it is taken from. */
function findArchive(): Archive | null {
  const own = fileURLToPath(new URL('./swiftshader/', import.meta.url));
  const copy = { archive: path.join(own, ARCHIVE), description: path.join(own, 'source.json') };
  if (fs.existsSync(copy.archive)) return copy;
  const folder = packageFolder();
  if (folder === null) return null;
  return { archive: path.join(folder, 'bin', ARCHIVE), description: path.join(folder, 'package.json') };
}

/** The package's root. Its `exports` hide package.json, so it is found from the entry point upwards. */
function packageFolder(): string | null {
  try {
    let folder = path.dirname(createRequire(import.meta.url).resolve(PACKAGE));
    while (!fs.existsSync(path.join(folder, 'bin', ARCHIVE))) {
      const parent = path.dirname(folder);
      if (parent === folder) return null;
      folder = parent;
    }
    return folder;
  } catch {
    return null;
  }
}

/** The content of one regular file of a ustar archive. */
function tarFile(tar: Buffer, name: string): Buffer {
  for (let at = 0; at + 512 <= tar.length;) {
    const header = tar.subarray(at, at + 512);
    const entry = header.toString('latin1', 0, 100).replace(/\0.*$/s, '').replace(/^\.\//, '');
    const size = parseInt(header.toString('latin1', 124, 136), 8) || 0;
    if (entry === name) return tar.subarray(at + 512, at + 512 + size);
    at += 512 + Math.ceil(size / 512) * 512;
  }
  throw new Error(`${name} is not in ${PACKAGE}/bin/${ARCHIVE}`);
}
