using System.Text.Json;
using AiAspire.Simulator.Generation;
using AiAspire.Simulator.Wire;

namespace AiAspire.Simulator.OpenAi;

/// <summary>
/// Chat completions, whole and as chunks. A content chunk is
/// <c>data: {"id":"chatcmpl-sim…","object":"chat.completion.chunk",…,"choices":[{"index":0,"delta":{"content":"Hi"},"logprobs":null,"finish_reason":null}]}</c>;
/// its constant parts are written once per response and copied.
/// </summary>
internal sealed class ChatCompletionWriter(
    ResponseBuffer buffer, ProviderCall call, ChatPrompt prompt, PlannedReply plan, long created) : ChatWriter(buffer)
{
    private static readonly byte[] EventEnd = "\n\n"u8.ToArray();

    /// <summary>From <c>data: </c> to <c>"choices":[</c>.</summary>
    private byte[] _chunkHead = [];

    /// <summary>From the end of the choices to the end of the event.</summary>
    private byte[] _chunkTail = [];

    private static ReadOnlySpan<byte> NoFinish => """},"logprobs":null,"finish_reason":null}"""u8;

    public override void Whole(TokenUsage? usage)
    {
        var json = Buffer.Json;
        json.WriteStartObject();
        WriteIdentity(json, "chat.completion"u8);
        json.WriteStartArray("choices"u8);
        for (var choice = 0; choice < prompt.Choices; choice++)
        {
            json.WriteStartObject();
            json.WriteNumber("index"u8, choice);
            WriteMessage(json, choice);
            if (prompt.LogProbs) WriteLogProbs(json);
            else json.WriteNull("logprobs"u8);
            json.WriteString("finish_reason"u8, FinishReason());
            json.WriteEndObject();
        }

        json.WriteEndArray();
        if (usage is { } tokens)
        {
            json.WritePropertyName("usage"u8);
            WriteUsage(json, tokens);
        }

        json.WriteString("service_tier"u8, "default"u8);
        json.WriteString("system_fingerprint"u8, "fp_sim"u8);
        json.WriteEndObject();
        Buffer.EndJson();
    }

    public override void StreamStart(TokenUsage? prompted)
    {
        var json = Buffer.Json;
        json.WriteStartObject();
        WriteIdentity(json, "chat.completion.chunk"u8);
        json.WriteString("service_tier"u8, "default"u8);
        json.WriteString("system_fingerprint"u8, "fp_sim"u8);
        json.Flush();
        _chunkHead = [.. "data: "u8, .. Buffer.Written.Span, .. ",\"choices\":["u8];
        json.Reset();
        Buffer.Clear();
        // With include_usage every other chunk says null; without it no chunk knows the field.
        _chunkTail = prompt.IncludeUsage ? [.. "],\"usage\":null}\n\n"u8] : [.. "]}\n\n"u8];
        var calls = plan.Parts.Count > 0 && plan.Parts[0].ToolName is not null;
        for (var choice = 0; choice < prompt.Choices; choice++)
        {
            Open(choice);
            Buffer.Append("\"role\":\"assistant\",\"content\":"u8);
            Buffer.Append(calls ? "null"u8 : "\"\""u8);
            Buffer.Append(",\"refusal\":null"u8);
            Buffer.Append(NoFinish);
            Buffer.Append(_chunkTail);
        }
    }

    public override void PartStart(int choice, int part)
    {
        if (plan.Parts[part] is not { ToolName: { } name } planned) return;
        Open(choice);
        var json = Buffer.Json;
        Buffer.Append("\"tool_calls\":["u8);
        json.WriteStartObject();
        json.WriteNumber("index"u8, part);
        json.WriteString("id"u8, CallId(planned, choice));
        json.WriteString("type"u8, "function"u8);
        json.WriteStartObject("function"u8);
        json.WriteString("name"u8, name);
        json.WriteString("arguments"u8, ""u8);
        json.WriteEndObject();
        json.WriteEndObject();
        Buffer.EndJson();
        Buffer.Append("]"u8);
        Buffer.Append(NoFinish);
        Buffer.Append(_chunkTail);
    }

    public override void Piece(int choice, int part, int piece)
    {
        var planned = plan.Parts[part];
        Open(choice);
        if (planned.ToolName is null)
        {
            Buffer.Append("\"content\":"u8);
            Buffer.Append(planned.Pieces[piece].Json);
        }
        else
        {
            Buffer.Append("\"tool_calls\":[{\"index\":"u8);
            Buffer.Json.WriteNumberValue(part);
            Buffer.EndJson();
            Buffer.Append(",\"function\":{\"arguments\":"u8);
            Buffer.Append(planned.Pieces[piece].Json);
            Buffer.Append("}}]"u8);
        }

        if (prompt.LogProbs && planned.ToolName is null)
        {
            Buffer.Append("},"u8);
            WriteBareLogProbs(planned.Pieces[piece].Text, piece);
            Buffer.Append(",\"finish_reason\":null}"u8);
        }
        else
        {
            Buffer.Append(NoFinish);
        }

        Buffer.Append(_chunkTail);
    }

    public override void PartEnd(int choice, int part)
    {
        // Parts have no end of their own on this wire.
    }

    public override void StreamFinish(TokenUsage? usage)
    {
        for (var choice = 0; choice < prompt.Choices; choice++)
        {
            Open(choice);
            Buffer.Append("},\"logprobs\":null,\"finish_reason\":\""u8);
            Buffer.Append(FinishReason());
            Buffer.Append("\"}"u8);
            Buffer.Append(_chunkTail);
        }

        if (!prompt.IncludeUsage || usage is not { } tokens) return;
        Buffer.Append(_chunkHead);
        Buffer.Append("],\"usage\":"u8);
        WriteUsage(Buffer.Json, tokens);
        Buffer.EndJson();
        Buffer.Append("}\n\n"u8);
    }

    public override void StreamEnd() => Buffer.Append("data: [DONE]\n\n"u8);

    public override void ErrorEvent()
    {
        Buffer.Append("data: "u8);
        Buffer.Json.WriteStartObject();
        OpenAiWire.WriteErrorObject(Buffer.Json, "The server had an error while processing your request. Sorry about that!", "server_error", null, null);
        Buffer.Json.WriteEndObject();
        Buffer.EndJson();
        Buffer.Append(EventEnd);
    }

    public override void MalformedChunk()
    {
        Buffer.Append(_chunkHead);
        Buffer.Append("{\"index\":0,\"delta\":{\"content\":\"bro\n\n"u8);
    }

    private void Open(int choice)
    {
        Buffer.Append(_chunkHead);
        Buffer.Append("{\"index\":"u8);
        if (choice < 10) Buffer.Append([(byte)('0' + choice)]);
        else Buffer.Append(System.Text.Encoding.ASCII.GetBytes(choice.ToString()));
        Buffer.Append(",\"delta\":{"u8);
    }

    private void WriteIdentity(Utf8JsonWriter json, ReadOnlySpan<byte> kind)
    {
        json.WriteString("id"u8, call.ResponseId);
        json.WriteString("object"u8, kind);
        json.WriteNumber("created"u8, created);
        json.WriteString("model"u8, call.Model!.Id);
    }

    private void WriteMessage(Utf8JsonWriter json, int choice)
    {
        var calls = plan.Parts.Count > 0 && plan.Parts[0].ToolName is not null;
        json.WriteStartObject("message"u8);
        json.WriteString("role"u8, "assistant"u8);
        if (calls) json.WriteNull("content"u8);
        else json.WriteString("content"u8, plan.Parts.Count > 0 ? plan.Parts[0].Text : "");
        if (calls)
        {
            json.WriteStartArray("tool_calls"u8);
            foreach (var part in plan.Parts)
            {
                json.WriteStartObject();
                json.WriteString("id"u8, CallId(part, choice));
                json.WriteString("type"u8, "function"u8);
                json.WriteStartObject("function"u8);
                json.WriteString("name"u8, part.ToolName);
                json.WriteString("arguments"u8, part.Text);
                json.WriteEndObject();
                json.WriteEndObject();
            }

            json.WriteEndArray();
        }

        json.WriteNull("refusal"u8);
        json.WriteStartArray("annotations"u8);
        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static string CallId(PlannedPart part, int choice) => choice == 0 ? part.CallId! : $"{part.CallId}{choice}";

    private ReadOnlySpan<byte> FinishReason() => plan.Finish switch
    {
        Finish.Length => "length"u8,
        Finish.ToolCalls => "tool_calls"u8,
        _ => "stop"u8,
    };

    private static void WriteUsage(Utf8JsonWriter json, TokenUsage usage)
    {
        json.WriteStartObject();
        json.WriteNumber("prompt_tokens"u8, usage.Prompt);
        json.WriteNumber("completion_tokens"u8, usage.Output);
        json.WriteNumber("total_tokens"u8, usage.Total);
        json.WriteStartObject("prompt_tokens_details"u8);
        json.WriteNumber("cached_tokens"u8, usage.CachedInput);
        json.WriteNumber("audio_tokens"u8, 0);
        json.WriteEndObject();
        json.WriteStartObject("completion_tokens_details"u8);
        json.WriteNumber("reasoning_tokens"u8, usage.Reasoning);
        json.WriteNumber("audio_tokens"u8, 0);
        json.WriteNumber("accepted_prediction_tokens"u8, 0);
        json.WriteNumber("rejected_prediction_tokens"u8, 0);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private void WriteLogProbs(Utf8JsonWriter json)
    {
        json.WriteStartObject("logprobs"u8);
        LogProbs.WriteContent(json, TextPieces(), prompt.TopLogProbs);
        json.WriteEndObject();
    }

    private IEnumerable<string> TextPieces()
        => plan.Parts.Where(p => p.ToolName is null).SelectMany(p => p.Pieces.Take(p.Taken)).Select(p => p.Text);

    private void WriteBareLogProbs(string token, int position)
    {
        Buffer.Append("\"logprobs\":"u8);
        Buffer.Json.WriteStartObject();
        LogProbs.WriteContent(Buffer.Json, [token], prompt.TopLogProbs, position);
        Buffer.Json.WriteEndObject();
        Buffer.EndJson();
    }
}
