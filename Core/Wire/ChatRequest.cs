using System.Buffers;
using System.Text.Json;
using System.Text.Unicode;

namespace AiAspire.Core.Wire;

/// <summary>
/// A chat completion request (OpenAI API reference, "Create chat completion"): what policy needs to know, beside the JSON as it came.
/// What is not policy's is forwarded byte for byte, fields we have never heard of included.
/// </summary>
public sealed class ChatRequest : IDisposable
{
    // Of two fields with one name, we might check the one and a provider obey the other.
    private static readonly JsonDocumentOptions Strict = new() { AllowDuplicateProperties = false };

    private readonly JsonDocument _document;

    private ChatRequest(JsonDocument document)
    {
        _document = document;
    }

    public JsonElement Json => _document.RootElement;

    public required string Model { get; init; }

    public required JsonElement Messages { get; init; }

    public bool Stream { get; init; }

    /// <summary><c>stream_options.include_usage</c>: the caller wants the last chunk with the usage.</summary>
    public bool IncludeUsage { get; init; }

    /// <summary>The larger of <c>max_tokens</c> and <c>max_completion_tokens</c>, since a provider may obey either.</summary>
    public int? MaxOutputTokens { get; init; }

    /// <summary>How many answers were asked for.</summary>
    public int Choices { get; init; } = 1;

    /// <summary><c>user</c>: the caller's name for the end user.</summary>
    public string? User { get; init; }

    /// <summary>UTF-8 bytes of the whole request.</summary>
    public required int Bytes { get; init; }

    /// <exception cref="WireException">400, naming the field at fault.</exception>
    public static ChatRequest Parse(ReadOnlyMemory<byte> body)
    {
        if (body.IsEmpty)
            throw WireException.BadRequest("The request body is empty. Send a JSON object with `model` and `messages`.", null);
        CheckText(body.Span);
        JsonDocument document;
        try
        {
            document = JsonDocument.Parse(body, Strict);
        }
        catch (JsonException e)
        {
            throw NotJson(e);
        }

        try
        {
            return Validate(document, body.Length);
        }
        catch
        {
            document.Dispose();
            throw;
        }
    }

    /// <summary>The JSON parser lets broken text through until a string is read, which would be in the middle of the call.</summary>
    private static void CheckText(ReadOnlySpan<byte> body)
    {
        if (!Utf8.IsValid(body))
            throw WireException.BadRequest("The request body is not valid UTF-8.", null, "invalid_json");
        // Half of a surrogate pair can only come as an escape: \uD800 to \uDFFF.
        if (body.IndexOf("\\ud"u8) < 0 && body.IndexOf("\\uD"u8) < 0)
            return;
        var reader = new Utf8JsonReader(body);
        try
        {
            while (reader.Read())
            {
                if (reader.ValueIsEscaped)
                    reader.GetString();
            }
        }
        catch (JsonException e)
        {
            throw NotJson(e);
        }
        catch (InvalidOperationException)
        {
            throw WireException.BadRequest($"The request body holds half of a surrogate pair in the string that ends at byte {reader.BytesConsumed}; text must be whole Unicode characters.", null, "invalid_json");
        }
    }

    private static WireException NotJson(JsonException e)
        => WireException.BadRequest($"The request body is not valid JSON: {e.Message}", null, "invalid_json");

    private static ChatRequest Validate(JsonDocument document, int bytes)
    {
        var root = document.RootElement;
        if (root.ValueKind != JsonValueKind.Object)
            throw WireException.BadRequest("The request body must be a JSON object.", null);
        var field = new RequestFields(root);
        var model = field.String("model");
        if (string.IsNullOrWhiteSpace(model))
            throw WireException.BadRequest("You must provide a model.", "model", "missing_required_parameter");
        if (!root.TryGetProperty("messages", out var messages))
            throw WireException.BadRequest("Missing required parameter: 'messages'.", "messages", "missing_required_parameter");
        CheckMessages(messages);
        field.Number("temperature", 0, 2);
        field.Number("top_p", 0, 1);
        field.Number("presence_penalty", -2, 2);
        field.Number("frequency_penalty", -2, 2);
        field.Integer("top_logprobs", 0, 20);
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
    /// The request as it goes to a provider that speaks the same wire: the same JSON but for the model's name, the output cap, usage
    /// always asked for in streams, and nothing stored on the provider's side unless the caller asked for it.
    /// </summary>
    /// <param name="target">Takes the UTF-8 JSON.</param>
    /// <param name="upstreamModel">The provider's name of the model.</param>
    /// <param name="outputCap">Most output tokens per choice that were reserved for.</param>
    /// <param name="capField">The field for the cap when the caller named none.</param>
    public void WriteUpstream(IBufferWriter<byte> target, string upstreamModel, int outputCap, string capField)
    {
        using var writer = new Utf8JsonWriter(target, new JsonWriterOptions { SkipValidation = true });
        writer.WriteStartObject();
        var capped = false;
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
            else
            {
                writer.WritePropertyName(property.Name);
                writer.WriteRawValue(JsonText(property.Value), skipInputValidation: true);
            }
        }

        if (!capped)
            writer.WriteNumber(capField, outputCap);
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

    // The bytes as they came: a number such as 1e-7 or 1.50 must not be written another way.
    private static ReadOnlySpan<byte> JsonText(JsonElement value) => System.Runtime.InteropServices.JsonMarshal.GetRawUtf8Value(value);

    public void Dispose() => _document.Dispose();
}
