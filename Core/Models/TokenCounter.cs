using System.Runtime.InteropServices;
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

    /// <summary>Characters of Base64 a token: ten tokens a second of sound at 32 kbit/s, more than compressed speech has.</summary>
    private const int SoundBytesPerToken = 512;

    /// <summary>Of a file: a page is read both as text and as an image, some thousand tokens, and has hardly less than 64 kB.</summary>
    private const int FileBytesPerToken = 64;

    /// <summary>What a provider makes of a single sound or file at most (<c>ReportedUsage</c> believes no more).</summary>
    private const int MostTokensPerMedium = 65_536;

    /// <summary>What else of a request is input to the model.</summary>
    private static readonly string[] BesideMessages = ["tools", "functions", "response_format"];

    private readonly Lazy<Tokenizer> _tokenizer = new(() => TiktokenTokenizer.CreateForEncoding("o200k_base"));

    /// <summary>
    /// A quick upper guess for a reservation, from the characters of the texts and the sizes of what is enclosed. At most one token a byte.
    /// </summary>
    /// <param name="request">The request: its messages, and what else is input to the model (tools, a reply's schema).</param>
    public static long EstimateInput(JsonElement request)
    {
        long weight = 0, media = 0, count = 0;
        foreach (var message in request.GetProperty("messages"u8).EnumerateArray())
        {
            count++;
            Measure(message, Place.Text, ref weight, ref media);
        }

        foreach (var name in BesideMessages)
        {
            if (request.TryGetProperty(name, out var value))
                weight += Weigh(JsonMarshal.GetRawUtf8Value(value));
        }

        return (weight / WordBytesPerToken) + (count * (TokensPerMessage + 1)) + TokensPerMessage + media;
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

        long weight = 0, media = 0;
        Measure(input, Place.Text, ref weight, ref media);
        return ((weight + WordBytesPerToken - 1) / WordBytesPerToken) + media;
    }

    private static void Measure(JsonElement value, Place place, ref long weight, ref long media)
    {
        switch (value.ValueKind)
        {
            case JsonValueKind.String:
                var text = JsonMarshal.GetRawUtf8Value(value);
                // Only where the wire has it: a text that merely begins like an image is a text.
                if (place == Place.Sound)
                    media += OfSize(text.Length, SoundBytesPerToken);
                else if (place == Place.File)
                    media += OfSize(text.Length, FileBytesPerToken);
                else if (place == Place.Url && text.StartsWith("\"data:image/"u8))
                    media += TokensPerImage;
                else
                    weight += Weigh(text[1..^1]);
                break;
            case JsonValueKind.Object:
                foreach (var property in value.EnumerateObject())
                    Measure(property.Value, PlaceOf(property, place), ref weight, ref media);
                break;
            case JsonValueKind.Array:
                foreach (var item in value.EnumerateArray())
                    Measure(item, Place.Text, ref weight, ref media);
                break;
        }

        static long OfSize(int bytes, int bytesPerToken) => Math.Clamp(bytes / bytesPerToken, TokensPerImage, MostTokensPerMedium);

        static Place PlaceOf(JsonProperty property, Place within)
            => property.NameEquals("url"u8) ? Place.Url
                : property.NameEquals("input_audio"u8) ? Place.AroundSound
                : property.NameEquals("data"u8) && within == Place.AroundSound ? Place.Sound
                : property.NameEquals("file_data"u8) ? Place.File
                : Place.Text;
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

    /// <summary>The input tokens of a request: its messages with their tool calls, and what stands beside them. Tools and schemas are counted as the JSON that came.</summary>
    public long CountInput(JsonElement request)
    {
        long tokens = TokensPerMessage;
        foreach (var message in request.GetProperty("messages"u8).EnumerateArray())
        {
            tokens += TokensPerMessage + 1;
            foreach (var property in message.EnumerateObject())
            {
                if (property.NameEquals("role"u8) || property.Value.ValueKind == JsonValueKind.Null)
                    continue;
                tokens += !property.NameEquals("content"u8) ? Count(JsonMarshal.GetRawUtf8Value(property.Value))
                    : property.Value.ValueKind == JsonValueKind.String ? Count(property.Value.GetString()!)
                    : property.Value.EnumerateArray().Sum(CountPart);
            }
        }

        foreach (var name in BesideMessages)
        {
            if (request.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null)
                tokens += Count(JsonMarshal.GetRawUtf8Value(value));
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
    {
        if (part.ValueKind == JsonValueKind.Object && part.TryGetProperty("text"u8, out var text))
            return text.ValueKind == JsonValueKind.String ? Count(text.GetString()!) : 0;
        long weight = 0, media = 0;
        Measure(part, Place.Text, ref weight, ref media);
        return Math.Max(media, TokensPerImage);
    }

    public long Count(ReadOnlySpan<byte> utf8) => utf8.IsEmpty ? 0 : Count(Encoding.UTF8.GetString(utf8));

    private long Count(string text) => _tokenizer.Value.CountTokens(text);

    /// <summary>Where a value stands.</summary>
    private enum Place
    {
        Text,
        Url,
        AroundSound,
        Sound,
        File,
    }
}
