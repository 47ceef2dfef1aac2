/**
 * The pictures of npm `emoji-datasource-google` as two folders of class folders, one to train on and one held out:
 *
 *     npx tsx bench/emoji-data.ts OUT      writes OUT/train/<category>/*.png and OUT/held-out/<category>/*.png
 *
 * Classes are the data source's categories, without skin tones (they would be half of all pictures) and without the five
 * swatches of `Component`. Held out is every 16th picture in the order of the data source's file.
 */
import { copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

interface Emoji {
  readonly image: string;
  readonly category: string;
  readonly has_img_google: boolean;
}

const HELD_OUT = 16;

const [out] = process.argv.slice(2);
if (!out) {
  console.error('usage: npx tsx bench/emoji-data.ts OUT');
  process.exit(2);
}
const root = dirname(createRequire(import.meta.url).resolve('emoji-datasource-google/package.json'));
const emoji = (JSON.parse(readFileSync(join(root, 'emoji.json'), 'utf8')) as Emoji[]).filter(
  ({ has_img_google, category }) => has_img_google && category !== 'Component',
);
const counts = { train: 0, 'held-out': 0 };
emoji.forEach(({ image, category }, i) => {
  const part = i % HELD_OUT === HELD_OUT - 1 ? 'held-out' : 'train';
  const folder = join(out, part, category);
  mkdirSync(folder, { recursive: true });
  copyFileSync(join(root, 'img/google/64', image), join(folder, image));
  counts[part]++;
});
console.log(
  `${counts.train} pictures to train on, ${counts['held-out']} held out, ${new Set(emoji.map((e) => e.category)).size} classes`,
);
