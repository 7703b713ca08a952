import { Command } from "commander";

const help = `
Everything is set by environment variables; without any, an embedded Postgres is started in .data and a demo tenant is
made, whose keys are printed at the first start. \`leadline doctor\` lists the settings and their values.

Examples:
  leadline serve
  DATABASE_URL=postgres://leadline_app@db/leadline NATS_URL=nats://nats:4222 leadline serve`;

/** `leadline serve`: what it needs is loaded only when it runs, so that the other commands start at once. */
export function serveCommand(): Command {
  return new Command("serve")
    .description("start the service: the gRPC door, the HTTP door and, without DATABASE_URL, its own Postgres")
    .option("--json", "JSON in place of text for what is printed at the start")
    .addHelpText("after", help)
    .action(async (options: { readonly json?: boolean }) => {
      const { serve } = await import("./serve.ts");
      await serve(options);
    });
}
