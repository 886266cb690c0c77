using System.Buffers;
using System.Text.Json;
using AiAspire.Core.Models;
using AiAspire.Core.Wire;
using Microsoft.Extensions.AI;

namespace AiAspire.Core.Providers;

/// <summary>Writes the reply of an <see cref="IChatClient"/> as events of OpenAI's wire.</summary>
internal sealed class ChatClientReply(ReplyTally reply, string model, DateTimeOffset created)
{
    private string? _id;
    private string? _model;
    private bool _roleSent;
    private int _toolCalls;
    private ChatFinishReason? _finish;
    private readonly UsageDetails _usage = new();
    private bool _hasUsage;

    public bool IsFinished => _finish is not null;

    public ChatEvent Completion(ChatResponse response)
    {
        _id = response.ResponseId;
        _model = response.ModelId;
        _finish = response.FinishReason ?? ChatFinishReason.Stop;
        if (response.Usage is { } usage)
            AddUsage(usage);
        var contents = response.Messages.SelectMany(m => m.Contents).ToList();
        return Event(ChatEventKind.Completion, writer =>
        {
            writer.WriteStartArray("choices"u8);
            writer.WriteStartObject();
            writer.WriteNumber("index"u8, 0);
            writer.WriteStartObject("message"u8);
            writer.WriteString("role"u8, "assistant"u8);
            var text = string.Concat(contents.OfType<TextContent>().Select(t => t.Text));
            var calls = contents.OfType<FunctionCallContent>().ToList();
            if (text.Length == 0 && calls.Count > 0)
                writer.WriteNull("content"u8);
            else
                writer.WriteString("content"u8, text);
            writer.WriteNull("refusal"u8);
            WriteToolCalls(writer, calls, withIndex: false);
            writer.WriteEndObject();
            writer.WriteNull("logprobs"u8);
            writer.WriteString("finish_reason"u8, FinishReason());
            writer.WriteEndObject();
            writer.WriteEndArray();
            WriteUsage(writer);
        });
    }

    public IEnumerable<ChatEvent> Chunks(ChatResponseUpdate update)
    {
        _id ??= update.ResponseId;
        _model ??= update.ModelId;
        foreach (var usage in update.Contents.OfType<UsageContent>())
            AddUsage(usage.Details);
        var text = string.Concat(update.Contents.OfType<TextContent>().Select(t => t.Text));
        var calls = update.Contents.OfType<FunctionCallContent>().ToList();
        if (!_roleSent)
        {
            _roleSent = true;
            yield return Delta(writer =>
            {
                writer.WriteString("role"u8, "assistant"u8);
                writer.WriteString("content"u8, ""u8);
            });
        }

        if (text.Length > 0)
            yield return Delta(writer => writer.WriteString("content"u8, text));
        if (calls.Count > 0)
            yield return Delta(writer => WriteToolCalls(writer, calls, withIndex: true));
        if (update.FinishReason is { } finish && _finish is null)
        {
            _finish = finish;
            yield return Delta(static _ => { }, finished: true);
        }
    }

    public ChatEvent UsageChunk() => Event(ChatEventKind.Chunk, writer =>
    {
        writer.WriteStartArray("choices"u8);
        writer.WriteEndArray();
        WriteUsage(writer);
    });

    private ChatEvent Delta(Action<Utf8JsonWriter> write, bool finished = false) => Event(ChatEventKind.Chunk, writer =>
    {
        writer.WriteStartArray("choices"u8);
        writer.WriteStartObject();
        writer.WriteNumber("index"u8, 0);
        writer.WriteStartObject("delta"u8);
        write(writer);
        writer.WriteEndObject();
        writer.WriteNull("logprobs"u8);
        if (finished)
            writer.WriteString("finish_reason"u8, FinishReason());
        else
            writer.WriteNull("finish_reason"u8);
        writer.WriteEndObject();
        writer.WriteEndArray();
    });

    private ChatEvent Event(ChatEventKind kind, Action<Utf8JsonWriter> writeRest)
    {
        var buffer = new ArrayBufferWriter<byte>(512);
        using (var writer = new Utf8JsonWriter(buffer, new JsonWriterOptions { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            writer.WriteStartObject();
            writer.WriteString("id"u8, _id ?? "chatcmpl-unknown");
            writer.WriteString("object"u8, kind == ChatEventKind.Completion ? "chat.completion"u8 : "chat.completion.chunk"u8);
            writer.WriteNumber("created"u8, created.ToUnixTimeSeconds());
            writer.WriteString("model"u8, _model ?? model);
            writeRest(writer);
            writer.WriteEndObject();
        }

        return new ChatEvent(reply.Read(buffer.WrittenSpan, kind), buffer.WrittenMemory);
    }

    private void WriteToolCalls(Utf8JsonWriter writer, List<FunctionCallContent> calls, bool withIndex)
    {
        if (calls.Count == 0)
            return;
        writer.WriteStartArray("tool_calls"u8);
        foreach (var call in calls)
        {
            writer.WriteStartObject();
            if (withIndex)
                writer.WriteNumber("index"u8, _toolCalls);
            _toolCalls++;
            writer.WriteString("id"u8, call.CallId);
            writer.WriteString("type"u8, "function"u8);
            writer.WriteStartObject("function"u8);
            writer.WriteString("name"u8, call.Name);
            writer.WriteString("arguments"u8, JsonSerializer.Serialize(call.Arguments ?? new Dictionary<string, object?>(StringComparer.Ordinal), AIJsonUtilities.DefaultOptions));
            writer.WriteEndObject();
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
    }

    private string FinishReason()
        => _finish == ChatFinishReason.Length ? "length"
            : _finish == ChatFinishReason.ContentFilter ? "content_filter"
            : _finish == ChatFinishReason.ToolCalls || _toolCalls > 0 ? "tool_calls"
            : "stop";

    private void AddUsage(UsageDetails details)
    {
        _hasUsage = true;
        _usage.Add(details);
    }

    private void WriteUsage(Utf8JsonWriter writer)
    {
        if (!_hasUsage)
            return;
        writer.WritePropertyName("usage"u8);
        OpenAiUsage.Write(writer, Usage());
    }

    /// <summary>
    /// <c>InputTokenCount</c> is the whole input in Microsoft.Extensions.AI's terms, cached tokens included; the number of tokens
    /// written to the cache comes under a name of the provider's SDK.
    /// </summary>
    private TokenUsage Usage()
    {
        var input = _usage.InputTokenCount ?? 0;
        var cached = _usage.CachedInputTokenCount ?? 0;
        var written = _usage.AdditionalCounts?.FirstOrDefault(c => c.Key.Contains("CacheCreation", StringComparison.OrdinalIgnoreCase)).Value ?? 0;
        return new TokenUsage(
            Math.Max(0, input - cached - written), cached, written, _usage.OutputTokenCount ?? 0, _usage.ReasoningTokenCount ?? 0);
    }
}
