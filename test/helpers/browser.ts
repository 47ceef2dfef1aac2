/** A headless Chromium, where the machine has one. */
import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome'];

/** The browser's command; undefined where none is installed. */
export function findBrowser(): string | undefined {
  return NAMES.find((name) => {
    try {
      return /Chrom/.test(execFileSync(name, ['--version'], { encoding: 'utf8', stdio: 'pipe' }));
    } catch {
      return false;
    }
  });
}

export interface Loaded {
  /** The page after its scripts have run. */
  readonly dom: string;
  /** What the page wrote to the console, errors among it. */
  readonly console: string[];
}

/** Loads a file and waits until it has come to rest. */
export function loadPage(browser: string, file: string, window = '1400,900'): Promise<Loaded> {
  const profile = mkdtempSync(join(tmpdir(), 'ditc-browser-'));
  const quiet = ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update'];
  const flags = [...quiet, `--user-data-dir=${profile}`, `--window-size=${window}`, '--enable-logging=stderr'];
  const args = ['--headless', ...flags, '--virtual-time-budget=3000', '--dump-dom', `file://${file}`];
  return new Promise((resolve, reject) => {
    execFile(browser, args, { maxBuffer: 2 ** 26, timeout: 90_000 }, (error, dom, log) => {
      rmSync(profile, { recursive: true, force: true, maxRetries: 3 });
      if (error) reject(error);
      else resolve({ dom, console: log.split('\n').filter((line) => line.includes(':CONSOLE')) });
    });
  });
}
