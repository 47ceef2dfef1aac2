/** What a page has besides WebGPU, as far as it is used here: the rest of the runtime needs none of a browser's types. */

interface FileHandle {
  getFile(): Promise<{ readonly size: number; arrayBuffer(): Promise<ArrayBuffer> }>;
  createWritable(): Promise<{ write(bytes: Uint8Array): Promise<void>; close(): Promise<void> }>;
}

export interface Folder {
  getDirectoryHandle(name: string, options: { readonly create: boolean }): Promise<Folder>;
  getFileHandle(name: string, options?: { readonly create: boolean }): Promise<FileHandle>;
  removeEntry(name: string): Promise<void>;
  keys(): AsyncIterable<string>;
}

interface LockOptions {
  readonly signal?: AbortSignal;
  readonly mode?: 'shared';
  readonly ifAvailable?: true;
}

interface Page {
  readonly isSecureContext?: boolean;
  readonly location?: { readonly href: string };
  readonly navigator?: {
    readonly gpu?: GPU;
    readonly userAgent?: string;
    readonly locks?: {
      /** `work` is given no lock where that is not to be waited for. */
      request<T>(name: string, options: LockOptions, work: (lock: object | null) => Promise<T>): Promise<T>;
    };
    readonly storage?: {
      estimate(): Promise<{ quota?: number; usage?: number }>;
      getDirectory?(): Promise<Folder>;
    };
  };
}

export const page = globalThis as unknown as Page;
