using System.Text.Json;
using AiAspire.Simulator.Generation;
using AiAspire.Simulator.Wire;

namespace AiAspire.Simulator.Anthropic;

/// <summary>
/// Messages, whole and as events. A token is
/// <c>event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}\n\n</c>.
/// </summary>
internal sealed class MessageWriter(ResponseBuffer buffer, ProviderCall call, PlannedReply plan) : ChatWriter(buffer)
{
    public override void Whole(TokenUsage? usage)
    {
        var json = Buffer.Json;
        json.WriteStartObject();
        WriteIdentity(json);
        json.WriteStartArray("content"u8);
        foreach (var part in plan.Parts)
        {
            json.WriteStartObject();
            WriteBlockStart(json, part);
            if (part.ToolName is null)
            {
                json.WriteString("text"u8, part.Text);
                json.WriteNull("citations"u8);
            }
            else
            {
                json.WritePropertyName("input"u8);
                // Arguments that max_tokens cut short are no JSON; a whole message then carries none.
                json.WriteRawValue(part.Taken == part.Pieces.Length ? part.Text : "{}", skipInputValidation: true);
            }

            json.WriteEndObject();
        }

        json.WriteEndArray();
        WriteStop(json);
        json.WriteNull("diagnostics"u8);
        WriteUsage(json, usage, whole: true);
        json.WriteEndObject();
        Buffer.EndJson();
    }

    public override void StreamStart(TokenUsage? prompt)
    {
        var json = Open("message_start"u8);
        json.WriteStartObject("message"u8);
        WriteIdentity(json);
        json.WriteStartArray("content"u8);
        json.WriteEndArray();
        json.WriteNull("stop_reason"u8);
        json.WriteNull("stop_sequence"u8);
        WriteAbsent(json);
        json.WriteNull("diagnostics"u8);
        // The company counts the token that opens the answer; message_delta says the final number.
        WriteUsage(json, prompt is { } tokens ? tokens with { Output = 1 } : null, whole: true);
        json.WriteEndObject();
        CloseEvent();
    }

    public override void PartStart(int choice, int part)
    {
        var planned = plan.Parts[part];
        var json = Open("content_block_start"u8);
        json.WriteNumber("index"u8, part);
        json.WriteStartObject("content_block"u8);
        WriteBlockStart(json, planned);
        if (planned.ToolName is null)
        {
            json.WriteString("text"u8, ""u8);
            json.WriteNull("citations"u8);
        }
        else
        {
            json.WriteStartObject("input"u8);
            json.WriteEndObject();
        }

        json.WriteEndObject();
        CloseEvent();
        if (part == 0) Ping();
        if (planned.ToolName is not null) Delta(part, "\"input_json_delta\",\"partial_json\":"u8, "\"\""u8);
    }

    public override void Piece(int choice, int part, int piece)
    {
        var planned = plan.Parts[part];
        Delta(part, planned.ToolName is null ? "\"text_delta\",\"text\":"u8 : "\"input_json_delta\",\"partial_json\":"u8, planned.Pieces[piece].Json);
    }

    public override void PartEnd(int choice, int part)
    {
        Open("content_block_stop"u8).WriteNumber("index"u8, part);
        CloseEvent();
    }

    public override void StreamFinish(TokenUsage? usage)
    {
        var json = Open("message_delta"u8);
        json.WriteStartObject("delta"u8);
        WriteStop(json);
        json.WriteEndObject();
        WriteUsage(json, usage, whole: false);
        CloseEvent();
    }

    public override void StreamEnd()
    {
        Open("message_stop"u8);
        CloseEvent();
    }

    public override void ErrorEvent()
    {
        var json = Open("error"u8);
        json.WriteStartObject("error"u8);
        json.WriteString("type"u8, "overloaded_error"u8);
        json.WriteString("message"u8, "Overloaded"u8);
        json.WriteEndObject();
        json.WriteString("request_id"u8, call.RequestId);
        CloseEvent();
    }

    public override void MalformedChunk() => Buffer.Append("event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"del\n\n"u8);

    private void Ping() => Buffer.Append("event: ping\ndata: {\"type\":\"ping\"}\n\n"u8);

    private void Delta(int part, ReadOnlySpan<byte> kind, ReadOnlySpan<byte> jsonText)
    {
        Buffer.Append("event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":"u8);
        if (part < 10)
        {
            Buffer.Append([(byte)('0' + part)]);
        }
        else
        {
            Buffer.Json.WriteNumberValue(part);
            Buffer.EndJson();
        }

        Buffer.Append(",\"delta\":{\"type\":"u8);
        Buffer.Append(kind);
        Buffer.Append(jsonText);
        Buffer.Append("}}\n\n"u8);
    }

    private Utf8JsonWriter Open(ReadOnlySpan<byte> type)
    {
        Buffer.Append("event: "u8);
        Buffer.Append(type);
        Buffer.Append("\ndata: "u8);
        Buffer.Json.WriteStartObject();
        Buffer.Json.WriteString("type"u8, type);
        return Buffer.Json;
    }

    private void CloseEvent()
    {
        Buffer.Json.WriteEndObject();
        Buffer.EndJson();
        Buffer.Append("\n\n"u8);
    }

    private void WriteIdentity(Utf8JsonWriter json)
    {
        json.WriteString("id"u8, call.ResponseId);
        json.WriteString("type"u8, "message"u8);
        json.WriteString("role"u8, "assistant"u8);
        json.WriteString("model"u8, call.Model!.Id);
    }

    private static void WriteBlockStart(Utf8JsonWriter json, PlannedPart part)
    {
        json.WriteString("type"u8, part.ToolName is null ? "text"u8 : "tool_use"u8);
        if (part.ToolName is null) return;
        json.WriteString("id"u8, part.CallId);
        json.WriteString("name"u8, part.ToolName);
        json.WriteStartObject("caller"u8);
        json.WriteString("type"u8, "direct"u8);
        json.WriteEndObject();
    }

    private void WriteStop(Utf8JsonWriter json)
    {
        json.WriteString("stop_reason"u8, plan.Finish switch
        {
            Finish.Length => "max_tokens"u8,
            Finish.StopSequence => "stop_sequence"u8,
            Finish.ToolCalls => "tool_use"u8,
            _ => "end_turn"u8,
        });
        json.WriteString("stop_sequence"u8, plan.StopSequence);
        WriteAbsent(json);
    }

    /// <summary>Fields of the wire that are always there, and null when nothing of the kind was asked for.</summary>
    private static void WriteAbsent(Utf8JsonWriter json)
    {
        json.WriteNull("stop_details"u8);
        json.WriteNull("container"u8);
    }

    /// <param name="whole">False in message_delta, which leaves out what does not change.</param>
    private static void WriteUsage(Utf8JsonWriter json, TokenUsage? usage, bool whole)
    {
        if (usage is not { } tokens) return;
        json.WriteStartObject("usage"u8);
        json.WriteNumber("input_tokens"u8, tokens.Input);
        json.WriteNumber("cache_creation_input_tokens"u8, tokens.CacheWrite);
        json.WriteNumber("cache_read_input_tokens"u8, tokens.CachedInput);
        json.WriteNumber("output_tokens"u8, tokens.Output);
        if (whole)
        {
            json.WriteStartObject("cache_creation"u8);
            json.WriteNumber("ephemeral_5m_input_tokens"u8, tokens.CacheWrite);
            json.WriteNumber("ephemeral_1h_input_tokens"u8, 0);
            json.WriteEndObject();
            json.WriteString("service_tier"u8, "standard"u8);
            json.WriteString("speed"u8, "standard"u8);
            json.WriteNull("inference_geo"u8);
        }

        json.WriteNull("output_tokens_details"u8);
        json.WriteNull("server_tool_use"u8);

        json.WriteEndObject();
    }
}
