import { create, type DescFile, type DescMessage, type DescService, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import {
  ErrorResponseSchema,
  ExtensionNumberResponseSchema,
  FileDescriptorResponseSchema,
  ListServiceResponseSchema,
  type ServerReflectionRequest,
  type ServerReflectionResponse,
  ServerReflectionResponseSchema,
} from "../../gen/grpc/reflection/v1/reflection_pb.ts";
import { Code } from "../domain/refusal.ts";

/** Answers gRPC server reflection: which services there are, and the files that declare them. */
export type Reflection = (request: ServerReflectionRequest) => ServerReflectionResponse;

type Answer = ServerReflectionResponse["messageResponse"];

/** Reflection over the files of the services and all that they import. The files are encoded once, here. */
export function createReflection(services: readonly DescService[]): Reflection {
  const files = new Map<string, DescFile>();
  for (const service of services) addFile(files, service.file);
  const encoded = new Map([...files].map(([name, file]) => [name, toBinary(FileDescriptorProtoSchema, file.proto)]));
  const symbols = new Map<string, DescFile>();
  const extensions = new Map<string, Map<number, DescFile>>();
  for (const file of files.values()) {
    for (const name of symbolsOf(file)) symbols.set(name, file);
    for (const extension of file.extensions) {
      const extendee = extension.extendee.typeName;
      const numbers = extensions.get(extendee) ?? new Map<number, DescFile>();
      extensions.set(extendee, numbers.set(extension.number, file));
    }
  }

  /** The file with everything it imports: most callers would ask for them next. */
  function withImports(file: DescFile | undefined, asked: string): Answer {
    if (file === undefined) return notFound(asked);
    const all = new Map<string, DescFile>();
    addFile(all, file);
    const fileDescriptorProto = [...all.keys()].flatMap((name) => encoded.get(name) ?? []);
    const value = create(FileDescriptorResponseSchema, { fileDescriptorProto });
    return { case: "fileDescriptorResponse", value };
  }

  function answer({ messageRequest: asked }: ServerReflectionRequest): Answer {
    switch (asked.case) {
      case "listServices": {
        const service = services.map(({ typeName }) => ({ name: typeName }));
        return { case: "listServicesResponse", value: create(ListServiceResponseSchema, { service }) };
      }
      case "fileByFilename":
        return withImports(files.get(`${asked.value.replace(/\.proto$/, "")}.proto`), asked.value);
      case "fileContainingSymbol":
        return withImports(symbols.get(asked.value), asked.value);
      case "fileContainingExtension": {
        const { containingType, extensionNumber } = asked.value;
        return withImports(
          extensions.get(containingType)?.get(extensionNumber),
          `${containingType} ${extensionNumber}`,
        );
      }
      case "allExtensionNumbersOfType": {
        const numbers = extensions.get(asked.value);
        if (numbers === undefined && !symbols.has(asked.value)) return notFound(asked.value);
        const value = { baseTypeName: asked.value, extensionNumber: [...(numbers?.keys() ?? [])] };
        return {
          case: "allExtensionNumbersResponse",
          value: create(ExtensionNumberResponseSchema, value),
        };
      }
      default:
        return errorAnswer(Code.INVALID_ARGUMENT, "the request asks for nothing that is known");
    }
  }

  return (request) =>
    create(ServerReflectionResponseSchema, {
      validHost: request.host,
      originalRequest: request,
      messageResponse: answer(request),
    });
}

function addFile(files: Map<string, DescFile>, file: DescFile): void {
  const { name } = file.proto;
  if (files.has(name)) return;
  files.set(name, file);
  for (const dependency of file.dependencies) addFile(files, dependency);
}

function symbolsOf(file: DescFile): string[] {
  return [
    ...file.enums.map((item) => item.typeName),
    ...file.extensions.map((item) => item.typeName),
    ...file.messages.flatMap(symbolsOfMessage),
    ...file.services.flatMap((service) => [
      service.typeName,
      ...service.methods.map((method) => `${service.typeName}.${method.name}`),
    ]),
  ];
}

function symbolsOfMessage(message: DescMessage): string[] {
  return [
    message.typeName,
    ...message.fields.map((field) => `${message.typeName}.${field.name}`),
    ...message.nestedEnums.map((item) => item.typeName),
    ...message.nestedExtensions.map((item) => item.typeName),
    ...message.nestedMessages.flatMap(symbolsOfMessage),
  ];
}

function notFound(asked: string): Answer {
  return errorAnswer(Code.NOT_FOUND, `there is no ${asked.slice(0, MAX_ASKED_CHARS)}`);
}

/** What was asked for is told back, cut to this. */
const MAX_ASKED_CHARS = 200;

function errorAnswer(errorCode: number, errorMessage: string): Answer {
  return { case: "errorResponse", value: create(ErrorResponseSchema, { errorCode, errorMessage }) };
}
