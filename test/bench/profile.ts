import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { BenchOptions } from "./measure.ts";
import type { Service } from "./service.ts";

/** The part of a `.cpuprofile` that is read here. */
interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

/** Runs something, and with the option `profile` says where the first instance's time went. */
export async function profiled<T>(
  service: Service,
  options: BenchOptions,
  name: string,
  work: () => Promise<T>,
): Promise<T> {
  if (options.profile === undefined || !service.probe) return work();
  mkdirSync(options.profile, { recursive: true });
  const file = join(options.profile, `${name}.cpuprofile`);
  await service.probe.startProfile();
  const result = await work();
  await service.probe.stopProfile(file);
  options.say(`${file}: self time by function`);
  for (const { share, where } of hottest(file, 30)) options.say(`${share.toFixed(1).padStart(6)} %  ${where}`);
  return result;
}

/** The functions that took the most time themselves; idle time does not count. */
function hottest(file: string, most: number): { share: number; where: string }[] {
  const profile = JSON.parse(readFileSync(file, "utf8")) as CpuProfile;
  const names = new Map(profile.nodes.map((n) => [n.id, nameOf(n.callFrame)]));
  const spent = new Map<string, number>();
  for (const [i, id] of profile.samples.entries()) {
    const name = names.get(id) ?? "?";
    spent.set(name, (spent.get(name) ?? 0) + (profile.timeDeltas[i] ?? 0));
  }
  for (const idle of ["(idle)", "(root)", "post node:inspector:115"]) spent.delete(idle);
  const all = [...spent.values()].reduce((sum, us) => sum + us, 0);
  return [...spent]
    .sort((a, b) => b[1] - a[1])
    .slice(0, most)
    .map(([where, us]) => ({ share: (us / all) * 100, where }));
}

function nameOf(frame: { functionName: string; url: string; lineNumber: number }): string {
  const name = frame.functionName || "(anonymous)";
  return frame.url
    ? `${name} ${frame.url.replace(/^.*\/(?=(src|gen|node_modules)\/)/, "")}:${frame.lineNumber + 1}`
    : name;
}
