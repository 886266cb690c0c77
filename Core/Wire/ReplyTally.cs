using System.Buffers;
using System.Text.Json;
using AiAspire.Core.Models;

namespace AiAspire.Core.Wire;

/// <summary>The field in which a reply holds what was asked for.</summary>
public enum ReplyList
{
    /// <summary>Of chat.</summary>
    Choices,

    /// <summary>Of embeddings.</summary>
    Data,

    /// <summary>Of moderations.</summary>
    Results,
}

/// <summary>
/// What a reply has said so far: read off each event on its way to the caller. Holds the text of the first choice (for the
/// conversation), whether anything was delivered, how it ended, and the usage once reported.
/// </summary>
/// <param name="list">Where what was asked for stands.</param>
/// <param name="items">How much of it was asked for; 0: one or more. Chat has no such number.</param>
public sealed class ReplyTally(ReplyList list = ReplyList.Choices, int items = 0)
{
    private readonly ArrayBufferWriter<byte> _text = new();

    /// <summary>UTF-8 text of the first choice.</summary>
    public ReadOnlySpan<byte> Text => _text.WrittenSpan;

    /// <summary>UTF-8 bytes of every text, tool argument and refusal of every choice, for counting what was delivered.</summary>
    public long DeliveredBytes { get; private set; }

    public bool HasContent => DeliveredBytes > 0 || HasToolCall || HasItems;

    /// <summary>The vectors or verdicts have come.</summary>
    public bool HasItems { get; private set; }

    public bool HasToolCall { get; private set; }

    public string? FinishReason { get; private set; }

    public TokenUsage? Usage { get; private set; }

    /// <summary>The model's name as the provider gave it: its exact version.</summary>
    public string? Model { get; private set; }

    public string? ProviderResponseId { get; private set; }

    /// <summary>An event carried an <c>error</c> object instead of choices.</summary>
    public bool SawError { get; private set; }

    /// <summary>
    /// Reads one event:
    /// <code>{"id":"…","model":"…","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}],"usage":{…}}</code>
    /// or the same with <c>message</c> for <c>delta</c>.
    /// </summary>
    /// <returns>The kind of the event.</returns>
    /// <exception cref="JsonException">The event is not the JSON of an event.</exception>
    public ChatEventKind Read(ReadOnlySpan<byte> json, ChatEventKind kind)
    {
        try
        {
            return ReadEvent(json, kind);
        }
        catch (Exception e) when (e is InvalidOperationException or FormatException)
        {
            // What the reader throws for a value of another type than asked for, and for text that is not Unicode.
            throw new JsonException("A value of the reply is of the wrong kind.", e);
        }
    }

    private ChatEventKind ReadEvent(ReadOnlySpan<byte> json, ChatEventKind kind)
    {
        var reader = new Utf8JsonReader(json);
        if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject)
            throw new JsonException("An event of the reply is not a JSON object.");
        var choices = -1;
        var usage = false;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            if (reader.ValueTextEquals("id"u8))
            {
                reader.Read();
                ProviderResponseId ??= reader.TokenType == JsonTokenType.String ? reader.GetString() : null;
            }
            else if (reader.ValueTextEquals("model"u8))
            {
                reader.Read();
                Model ??= reader.TokenType == JsonTokenType.String ? reader.GetString() : null;
            }
            else if (reader.ValueTextEquals(ListName))
            {
                reader.Read();
                choices = list == ReplyList.Choices ? ReadChoices(ref reader) : ReadItems(ref reader);
            }
            else if (reader.ValueTextEquals("usage"u8))
            {
                reader.Read();
                usage = reader.TokenType == JsonTokenType.StartObject;
                if (usage)
                    Usage = OpenAiUsage.Read(ref reader);
                else
                    reader.Skip();
            }
            else
            {
                SawError |= reader.ValueTextEquals("error"u8);
                reader.Read();
                reader.Skip();
            }
        }

        if (reader.Read())
            throw new JsonException("Something follows the event's object.");
        if (choices < 0 && !SawError)
            throw new JsonException($"An event of the reply has no '{list}'.");
        if (list != ReplyList.Choices && !SawError)
            HasItems = choices > 0 && (items == 0 || choices == items) ? true : throw new JsonException($"The reply has {choices} items, and {items} were asked for.");
        return kind == ChatEventKind.Chunk && choices == 0 && usage ? ChatEventKind.UsageChunk : kind;
    }

    private ReadOnlySpan<byte> ListName => list switch
    {
        ReplyList.Data => "data"u8,
        ReplyList.Results => "results"u8,
        _ => "choices"u8,
    };

    private static int ReadItems(ref Utf8JsonReader reader)
    {
        if (reader.TokenType != JsonTokenType.StartArray)
            throw new JsonException("The items of the reply are not an array.");
        var count = 0;
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            if (reader.TokenType != JsonTokenType.StartObject)
                throw new JsonException("An item of the reply is not an object.");
            reader.Skip();
            count++;
        }

        return count;
    }

    private int ReadChoices(ref Utf8JsonReader reader)
    {
        if (reader.TokenType != JsonTokenType.StartArray)
            throw new JsonException("'choices' is not an array.");
        var count = 0;
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            if (reader.TokenType != JsonTokenType.StartObject)
                throw new JsonException("A choice is not an object.");
            ReadChoice(ref reader);
            count++;
        }

        return count;
    }

    private void ReadChoice(ref Utf8JsonReader reader)
    {
        // "index" comes before "delta" in every provider's JSON seen; a choice without one is the first.
        var index = 0;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            if (reader.ValueTextEquals("index"u8))
            {
                reader.Read();
                index = reader.GetInt32();
            }
            else if (reader.ValueTextEquals("delta"u8) || reader.ValueTextEquals("message"u8))
            {
                reader.Read();
                ReadMessage(ref reader, index);
            }
            else if (reader.ValueTextEquals("finish_reason"u8))
            {
                reader.Read();
                if (reader.TokenType == JsonTokenType.String)
                    FinishReason = reader.GetString();
            }
            else
            {
                reader.Read();
                reader.Skip();
            }
        }
    }

    private void ReadMessage(ref Utf8JsonReader reader, int index)
    {
        if (reader.TokenType != JsonTokenType.StartObject)
        {
            reader.Skip();
            return;
        }

        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            if (reader.ValueTextEquals("content"u8) || reader.ValueTextEquals("refusal"u8))
            {
                reader.Read();
                if (reader.TokenType == JsonTokenType.String)
                    AddText(ref reader, index);
                else
                    reader.Skip();
            }
            else if (reader.ValueTextEquals("tool_calls"u8))
            {
                reader.Read();
                ReadToolCalls(ref reader);
            }
            else
            {
                reader.Read();
                reader.Skip();
            }
        }
    }

    private void ReadToolCalls(ref Utf8JsonReader reader)
    {
        if (reader.TokenType != JsonTokenType.StartArray)
        {
            reader.Skip();
            return;
        }

        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            // Some servers send an empty array with every chunk: that is no call.
            HasToolCall = true;
            var depth = reader.CurrentDepth;
            if (reader.TokenType != JsonTokenType.StartObject)
                reader.Skip();
            else
                while (reader.Read() && !(reader.TokenType == JsonTokenType.EndObject && reader.CurrentDepth == depth))
                    ReadCallPart(ref reader);
        }
    }

    /// <summary>The model wrote the name and the arguments; what stands around them comes anew with each chunk of a few characters.</summary>
    private void ReadCallPart(ref Utf8JsonReader reader)
    {
        if (reader.TokenType != JsonTokenType.PropertyName || !(reader.ValueTextEquals("name"u8) || reader.ValueTextEquals("arguments"u8) || reader.ValueTextEquals("input"u8)))
            return;
        reader.Read();
        var from = reader.TokenStartIndex;
        reader.Skip();
        DeliveredBytes += reader.TokenType == JsonTokenType.String ? reader.ValueSpan.Length : reader.BytesConsumed - from;
    }

    private void AddText(ref Utf8JsonReader reader, int index)
    {
        if (index == 0)
        {
            var target = _text.GetSpan(reader.ValueSpan.Length + 1);
            var written = reader.CopyString(target);
            _text.Advance(written);
            DeliveredBytes += written;
        }
        else
        {
            DeliveredBytes += reader.ValueSpan.Length;
        }
    }
}
