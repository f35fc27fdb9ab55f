/** A version that a replica answers for. */
export interface ReplicaModel {
  readonly model: string;
  readonly version: string;
  readonly labels: readonly string[];
}

/** One running copy of a service. */
export interface Replica {
  readonly service: string;
  readonly replica: string;
  /** host:port of its gRPC door. */
  readonly address: string;
  readonly models: readonly ReplicaModel[];
  readonly seenAt: Date;
}

export interface Announcement extends AsyncDisposable {
  /** Tells at once what changed. */
  update(patch: { readonly address?: string; readonly models?: readonly ReplicaModel[] }): Promise<void>;
}

/** Who is there: each replica says so every 2 s and is forgotten after 8 s of silence. */
export interface Replicas {
  announce(replica: {
    readonly service: string;
    readonly address: string;
    readonly models?: readonly ReplicaModel[];
  }): Promise<Announcement>;
  list(service: string): Promise<Replica[]>;
  /** Calls when a replica came, changed, went or fell silent: a hint to list again. */
  watch(onChange: () => void): AsyncDisposable;
}
