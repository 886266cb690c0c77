using System.Buffers;
using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Unicode;
using AiAspire.Core.Models;

namespace AiAspire.Core.Wire;

/// <summary>
/// A request to a model in OpenAI's wire: what policy needs to know, beside the JSON as it came. What is not policy's is forwarded byte
/// for byte, fields we have never heard of included.
/// </summary>
public abstract class ModelRequest : IDisposable
{
    // Of two fields with one name, we might check the one and a provider obey the other.
    private static readonly JsonDocumentOptions Strict = new() { AllowDuplicateProperties = false };

    private readonly JsonDocument _document;

    private protected ModelRequest(JsonDocument document)
    {
        _document = document;
    }

    public JsonElement Json => _document.RootElement;

    /// <summary>The model or alias that the caller named.</summary>
    public required string Model { get; init; }

    /// <summary>The kind of model that serves it.</summary>
    public abstract ModelKind Kind { get; }

    /// <summary>Where it is posted, beneath a provider's base address.</summary>
    public abstract string Path { get; }

    public bool Stream { get; init; }

    /// <summary><c>stream_options.include_usage</c>: the caller wants the last chunk with the usage.</summary>
    public bool IncludeUsage { get; init; }

    /// <summary>The most output tokens per choice that the caller named.</summary>
    public int? MaxOutputTokens { get; init; }

    /// <summary>How many answers were asked for.</summary>
    public int Choices { get; init; } = 1;

    /// <summary><c>user</c>: the caller's name for the end user.</summary>
    public string? User { get; init; }

    /// <summary>UTF-8 bytes of the whole request.</summary>
    public required int Bytes { get; init; }

    /// <summary>A quick upper guess of the input tokens, for a reservation.</summary>
    public abstract long EstimateInput();

    /// <summary>The input tokens, counted; for when the provider does not say.</summary>
    public abstract long CountInput(TokenCounter tokens);

    /// <summary>What will read the reply.</summary>
    public virtual ReplyTally NewTally() => new();

    /// <summary>The request as it goes to a provider that speaks the same wire: the same JSON but for the model's name, and what else policy changes.</summary>
    /// <param name="target">Takes the UTF-8 JSON.</param>
    /// <param name="upstreamModel">The provider's name of the model.</param>
    /// <param name="outputCap">Most output tokens per choice that were reserved for.</param>
    /// <param name="provider">Which fields it takes.</param>
    public virtual void WriteUpstream(IBufferWriter<byte> target, string upstreamModel, int outputCap, ProviderOptions provider)
    {
        using var writer = new Utf8JsonWriter(target, new JsonWriterOptions { SkipValidation = true });
        writer.WriteStartObject();
        // Written even when the caller left it to us.
        writer.WriteString("model"u8, upstreamModel);
        foreach (var property in Json.EnumerateObject())
        {
            if (!property.NameEquals("model"u8))
                WriteAsItCame(writer, property);
        }

        writer.WriteEndObject();
    }

    public void Dispose()
    {
        _document.Dispose();
        GC.SuppressFinalize(this);
    }

    // The bytes as they came: a number such as 1e-7 or 1.50 must not be written another way.
    private protected static void WriteAsItCame(Utf8JsonWriter writer, JsonProperty property)
    {
        writer.WritePropertyName(property.Name);
        writer.WriteRawValue(JsonMarshal.GetRawUtf8Value(property.Value), skipInputValidation: true);
    }

    /// <summary>Reads a body that must be a JSON object.</summary>
    /// <param name="body">UTF-8.</param>
    /// <param name="fields">Told to who sends nothing: the fields that are needed.</param>
    /// <param name="validate">Makes the request of it.</param>
    /// <exception cref="WireException">400, naming what is at fault.</exception>
    private protected static TRequest Read<TRequest>(ReadOnlyMemory<byte> body, string fields, Func<JsonDocument, TRequest> validate)
    {
        if (body.IsEmpty)
            throw WireException.BadRequest($"The request body is empty. Send a JSON object with {fields}.", null);
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
            if (document.RootElement.ValueKind != JsonValueKind.Object)
                throw WireException.BadRequest("The request body must be a JSON object.", null);
            return validate(document);
        }
        catch
        {
            document.Dispose();
            throw;
        }
    }

    private protected static string RequiredModel(RequestFields field)
    {
        var model = field.String("model");
        return string.IsNullOrWhiteSpace(model)
            ? throw WireException.BadRequest("You must provide a model.", "model", "missing_required_parameter")
            : model;
    }

    private protected static JsonElement Required(JsonElement root, string name)
        => root.TryGetProperty(name, out var value)
            ? value
            : throw WireException.BadRequest($"Missing required parameter: '{name}'.", name, "missing_required_parameter");

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
}
