import type { Command } from "commander";

/**
 * Adds the help of a group of commands to it, and to each of its commands the examples in it that show that command, so that
 * every example is written once.
 */
export function withExamples(group: Command, help: string): Command {
  for (const one of group.commands) {
    const start = `  leadline ${group.name()} ${one.name()}`;
    const examples = help.split("\n").filter((line) => line === start || line.startsWith(`${start} `));
    if (examples.length > 0) one.addHelpText("after", `\nExamples:\n${examples.join("\n")}`);
  }
  return group.addHelpText("after", help);
}
