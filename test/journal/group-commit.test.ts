import { inject } from "vitest";
import { groupCommitSuite } from "./group-commit.suite.ts";

groupCommitSuite(() => inject("postgresUrl"));
