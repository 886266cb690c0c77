using System.Buffers;
using System.Text.Json;
using AiAspire.Core.Models;

namespace AiAspire.Core.Wire;

/// <summary>A chat completion request (OpenAI API reference, "Create chat completion").</summary>
public sealed class ChatRequest : ModelRequest
{
    private ChatRequest(JsonDocument document)
        : base(document)
    {
    }

    public override ModelKind Kind => ModelKind.Chat;

    public override string Path => "chat/completions";

    public required JsonElement Messages { get; init; }

    /// <exception cref="WireException">400, naming the field at fault.</exception>
    public static ChatRequest Parse(ReadOnlyMemory<byte> body)
        => Read(body, "`model` and `messages`", document => Validate(document, body.Length));

    public override long EstimateInput() => TokenCounter.EstimateInput(Json);

    public override long CountInput(TokenCounter tokens) => tokens.CountInput(Json);

    private static ChatRequest Validate(JsonDocument document, int bytes)
    {
        var root = document.RootElement;
        var field = new RequestFields(root);
        var model = RequiredModel(field);
        var messages = Required(root, "messages");
        CheckMessages(messages);
        field.Number("temperature", 0, 2);
        field.Number("top_p", 0, 1);
        field.Number("presence_penalty", -2, 2);
        field.Number("frequency_penalty", -2, 2);
        field.Integer("top_logprobs", 0, 20);
        // A provider's other tiers have other prices, and a model has one here: what is charged would not be what it bills.
        if (field.String("service_tier") is { } tier and not ("auto" or "default"))
            throw WireException.BadRequest($"'service_tier' is '{tier}', for which no prices are known here: use auto or default, or leave it out.", "service_tier", "unsupported_value");
        var stream = field.Boolean("stream") ?? false;
        var includeUsage = false;
        if (field.Object("stream_options") is { } streamOptions)
        {
            if (!stream)
                throw WireException.BadRequest("'stream_options' is only allowed when 'stream' is true.", "stream_options");
            includeUsage = new RequestFields(streamOptions, "stream_options.").Boolean("include_usage") ?? false;
        }

        var maxTokens = field.Integer("max_tokens", 1, int.MaxValue);
        var maxCompletionTokens = field.Integer("max_completion_tokens", 1, int.MaxValue);
        return new ChatRequest(document)
        {
            Model = model,
            Messages = messages,
            Stream = stream,
            IncludeUsage = includeUsage,
            // The larger of the two, since a provider may obey either.
            MaxOutputTokens = maxTokens is null ? maxCompletionTokens : Math.Max(maxTokens.Value, maxCompletionTokens ?? 0),
            Choices = field.Integer("n", 1, 128) ?? 1,
            User = field.String("user"),
            Bytes = bytes,
        };
    }

    private static void CheckMessages(JsonElement messages)
    {
        if (messages.ValueKind != JsonValueKind.Array)
            throw WireException.BadRequest("'messages' must be an array of messages.", "messages", "invalid_type");
        if (messages.GetArrayLength() == 0)
            throw WireException.BadRequest("'messages' is empty: it needs at least one message.", "messages", "empty_array");
        var i = 0;
        foreach (var message in messages.EnumerateArray())
        {
            var path = $"messages[{i++}]";
            if (message.ValueKind != JsonValueKind.Object)
                throw WireException.BadRequest($"'{path}' must be an object.", path, "invalid_type");
            if (!message.TryGetProperty("role", out var role) || role.ValueKind != JsonValueKind.String)
                throw WireException.BadRequest($"'{path}.role' is missing.", $"{path}.role", "missing_required_parameter");
            if (!(role.ValueEquals("user"u8) || role.ValueEquals("assistant"u8) || role.ValueEquals("system"u8) || role.ValueEquals("developer"u8)
                || role.ValueEquals("tool"u8) || role.ValueEquals("function"u8)))
                throw WireException.BadRequest($"'{role.GetString()}' is not a role: use system, developer, user, assistant or tool.", $"{path}.role", "invalid_value");
            if (message.TryGetProperty("content", out var content)
                && content.ValueKind is not (JsonValueKind.String or JsonValueKind.Array or JsonValueKind.Null))
                throw WireException.BadRequest($"'{path}.content' must be a string or an array of content parts.", $"{path}.content", "invalid_type");
        }
    }

    /// <summary>
    /// The same JSON but for the model's name, the output cap, usage always asked for in streams, and nothing stored on the provider's
    /// side unless the caller asked for it (<see cref="ProviderOptions.KnowsStore"/>).
    /// </summary>
    public override void WriteUpstream(IBufferWriter<byte> target, string upstreamModel, int outputCap, ProviderOptions provider)
    {
        using var writer = new Utf8JsonWriter(target, new JsonWriterOptions { SkipValidation = true });
        writer.WriteStartObject();
        var (capped, asksToStore) = (false, false);
        foreach (var property in Json.EnumerateObject())
        {
            if (property.NameEquals("model"u8))
            {
                writer.WriteString("model"u8, upstreamModel);
            }
            else if (property.NameEquals("max_tokens"u8) || property.NameEquals("max_completion_tokens"u8))
            {
                // A null is left out: the cap written below may bear the same name.
                if (property.Value.ValueKind != JsonValueKind.Number)
                    continue;
                capped = true;
                writer.WriteNumber(property.Name, Math.Min(property.Value.GetInt32(), outputCap));
            }
            else if (property.NameEquals("stream_options"u8) && Stream)
            {
                // Written below, with include_usage.
            }
            else if (property.NameEquals("store"u8) && provider.IsToldToStoreNothing)
            {
                asksToStore = property.Value.ValueKind == JsonValueKind.True;
            }
            else
            {
                WriteAsItCame(writer, property);
            }
        }

        if (!capped)
            writer.WriteNumber(provider.MaxTokensField, outputCap);
        if (provider.IsToldToStoreNothing)
            writer.WriteBoolean("store"u8, asksToStore);
        if (Stream)
            WriteStreamOptions(writer);
        writer.WriteEndObject();
    }

    private void WriteStreamOptions(Utf8JsonWriter writer)
    {
        writer.WriteStartObject("stream_options"u8);
        if (Json.TryGetProperty("stream_options", out var options) && options.ValueKind == JsonValueKind.Object)
        {
            foreach (var option in options.EnumerateObject())
            {
                if (!option.NameEquals("include_usage"u8))
                    option.WriteTo(writer);
            }
        }

        writer.WriteBoolean("include_usage"u8, true);
        writer.WriteEndObject();
    }
}
