using System.Text;
using System.Text.Json;
using Microsoft.ML.Tokenizers;

namespace AiAspire.Core.Models;

/// <summary>
/// Counts tokens where the provider's own count is missing. Uses o200k_base for every model: exact for OpenAI's current models, an
/// estimate for the rest, and marked as such in the ledger (<see cref="UsageSource"/>).
/// </summary>
public sealed class TokenCounter
{
    /// <summary>What the chat format adds to each message, and to the reply's start (OpenAI cookbook, "How to count tokens").</summary>
    private const int TokensPerMessage = 3;

    /// <summary>Fewer bytes of words a token than any language has in ordinary text, so that a reservation is rarely short.</summary>
    private const int WordBytesPerToken = 3;

    /// <summary>An image's tokens at low detail; high detail is several times this and settled by the provider's count.</summary>
    private const int TokensPerImage = 85;

    private readonly Lazy<Tokenizer> _tokenizer = new(() => TiktokenTokenizer.CreateForEncoding("o200k_base"));

    /// <summary>A quick upper guess for a reservation, from the characters of the texts alone. At most one token a byte.</summary>
    /// <param name="request">The request: its messages, and what else is input to the model (tools, a reply's schema).</param>
    public static long EstimateInput(JsonElement request)
    {
        long weight = 0, images = 0, count = 0;
        foreach (var message in request.GetProperty("messages"u8).EnumerateArray())
        {
            count++;
            Measure(message, isUrl: false, ref weight, ref images);
        }

        foreach (var name in (ReadOnlySpan<string>)["tools", "functions", "response_format"])
        {
            if (request.TryGetProperty(name, out var value))
                weight += Weigh(System.Runtime.InteropServices.JsonMarshal.GetRawUtf8Value(value));
        }

        return (weight / WordBytesPerToken) + (count * (TokensPerMessage + 1)) + TokensPerMessage + (images * TokensPerImage);
    }

    /// <summary>As <see cref="EstimateInput"/>, for what embeddings and moderations take: a text, texts, token arrays or content parts.</summary>
    public static long EstimateTexts(JsonElement input)
    {
        if (input.ValueKind == JsonValueKind.Number)
            return 1;
        if (input.ValueKind == JsonValueKind.Array)
        {
            long tokens = 0;
            foreach (var item in input.EnumerateArray())
                tokens += EstimateTexts(item);
            return tokens;
        }

        long weight = 0, images = 0;
        Measure(input, isUrl: false, ref weight, ref images);
        return ((weight + WordBytesPerToken - 1) / WordBytesPerToken) + (images * TokensPerImage);
    }

    private static void Measure(JsonElement value, bool isUrl, ref long weight, ref long images)
    {
        switch (value.ValueKind)
        {
            case JsonValueKind.String:
                var text = System.Runtime.InteropServices.JsonMarshal.GetRawUtf8Value(value);
                // Only where the wire has an image: a text that merely begins so is a text.
                if (isUrl && text.StartsWith("\"data:image/"u8))
                    images++;
                else
                    weight += Weigh(text[1..^1]);
                break;
            case JsonValueKind.Object:
                foreach (var property in value.EnumerateObject())
                    Measure(property.Value, property.NameEquals("url"u8), ref weight, ref images);
                break;
            case JsonValueKind.Array:
                foreach (var item in value.EnumerateArray())
                    Measure(item, isUrl: false, ref weight, ref images);
                break;
        }
    }

    /// <summary>
    /// Letters, spaces and bytes of other scripts count one, in thirds of a token; what code is full of (signs and digits, often a token
    /// each) and each JSON escape, however long it is written, count a whole token.
    /// </summary>
    private static long Weigh(ReadOnlySpan<byte> json)
    {
        long weight = 0;
        for (var i = 0; i < json.Length; i++)
        {
            var character = json[i];
            weight += char.IsAsciiLetter((char)character) || character is (byte)' ' or >= 0x80 ? 1 : WordBytesPerToken;
            if (character == (byte)'\\' && i + 1 < json.Length)
                i += json[i + 1] == (byte)'u' ? 5 : 1;
        }

        return weight;
    }

    /// <summary>The input tokens of the messages' texts.</summary>
    public long CountInput(JsonElement messages)
    {
        long tokens = TokensPerMessage;
        foreach (var message in messages.EnumerateArray())
        {
            tokens += TokensPerMessage + 1;
            if (!message.TryGetProperty("content", out var content))
                continue;
            if (content.ValueKind == JsonValueKind.String)
                tokens += Count(content.GetString()!);
            else if (content.ValueKind == JsonValueKind.Array)
                tokens += content.EnumerateArray().Sum(part => CountPart(part));
        }

        return tokens;
    }

    /// <summary>The tokens of a text, texts, token arrays or content parts.</summary>
    public long CountTexts(JsonElement input) => input.ValueKind switch
    {
        JsonValueKind.String => Count(input.GetString()!),
        JsonValueKind.Number => 1,
        JsonValueKind.Array => input.EnumerateArray().Sum(CountTexts),
        _ => CountPart(input),
    };

    // A part of another shape is for the provider to refuse, not for us to stumble over.
    private long CountPart(JsonElement part)
        => part.ValueKind == JsonValueKind.Object && part.TryGetProperty("text"u8, out var text)
            ? text.ValueKind == JsonValueKind.String ? Count(text.GetString()!) : 0
            : TokensPerImage;

    public long Count(ReadOnlySpan<byte> utf8) => utf8.IsEmpty ? 0 : Count(Encoding.UTF8.GetString(utf8));

    private long Count(string text) => _tokenizer.Value.CountTokens(text);
}
