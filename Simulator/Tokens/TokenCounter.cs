using System.Text.Encodings.Web;
using System.Text.Json;
using Microsoft.ML.Tokenizers;

namespace AiAspire.Simulator.Tokens;

/// <summary>What one streamed chunk carries.</summary>
/// <param name="Json">The text as a JSON string literal in UTF-8, quotes included.</param>
/// <param name="Tokens">1, or more where a character is spread over several tokens and cannot be sent in halves.</param>
internal sealed record TokenPiece(string Text, byte[] Json, int Tokens);

/// <summary>Counts and splits text with OpenAI's <c>o200k_base</c> vocabulary. Repeated texts are answered from memory.</summary>
internal sealed class TokenCounter
{
    /// <summary>Byte-pair merging is quadratic in the length of a run without spaces, so long texts are cut into blocks first.</summary>
    private const int BlockLength = 4096;

    /// <summary>One per process: reading the vocabulary takes half a second and tens of megabytes.</summary>
    private static readonly Lazy<TiktokenTokenizer> Tokenizer = new(() => TiktokenTokenizer.CreateForEncoding("o200k_base"));

    private readonly TiktokenTokenizer _tokenizer = Tokenizer.Value;
    private readonly TwoGenerationCache<int[]> _ids = new(8 * 1024 * 1024);
    private readonly TwoGenerationCache<TokenPiece[]> _pieces = new(1024 * 1024);

    public int Count(string text) => text.Length == 0 ? 0 : Ids(text).Length;

    public int[] Ids(string text) => text.Length == 0 ? [] : _ids.GetOrAdd(text, Encode);

    public TokenPiece[] Pieces(string text) => text.Length == 0 ? [] : _pieces.GetOrAdd(text, Split);

    /// <summary>The text behind token ids, or null when an id is not in the vocabulary.</summary>
    public string? Decode(IReadOnlyList<int> ids)
    {
        foreach (var id in ids)
            if (id is < 0 or > 199_997)
                return null;
        return _tokenizer.Decode(ids);
    }

    private int[] Encode(string text)
    {
        if (text.Length <= BlockLength) return [.. _tokenizer.EncodeToIds(text)];
        var ids = new List<int>(text.Length / 4);
        foreach (var (start, length) in Blocks(text)) ids.AddRange(_tokenizer.EncodeToIds(text.AsSpan(start, length)));
        return [.. ids];
    }

    private TokenPiece[] Split(string text)
    {
        var pieces = new List<TokenPiece>(text.Length / 3);
        foreach (var (blockStart, blockLength) in Blocks(text))
        {
            var block = text.Substring(blockStart, blockLength);
            int start = 0, end = 0, tokens = 0;
            foreach (var token in _tokenizer.EncodeToTokens(block, out _))
            {
                var (tokenStart, tokenEnd) = (token.Offset.Start.Value, token.Offset.End.Value);
                // Tokens that begin inside the piece share a character with it.
                if (tokenStart >= end && tokens > 0)
                {
                    pieces.Add(Piece(block[start..end], tokens));
                    (start, tokens) = (end, 0);
                }

                end = Math.Max(end, tokenEnd);
                tokens++;
            }

            if (tokens > 0) pieces.Add(Piece(block[start..], tokens));
        }

        return [.. pieces];
    }

    private static TokenPiece Piece(string text, int tokens)
    {
        var encoded = JsonEncodedText.Encode(text, JavaScriptEncoder.UnsafeRelaxedJsonEscaping).EncodedUtf8Bytes;
        var json = new byte[encoded.Length + 2];
        json[0] = json[^1] = (byte)'"';
        encoded.CopyTo(json.AsSpan(1));
        return new TokenPiece(text, json, tokens);
    }

    private static IEnumerable<(int Start, int Length)> Blocks(string text)
    {
        for (var start = 0; start < text.Length;)
        {
            var length = text.Length - start;
            if (length > BlockLength)
            {
                // Before a space, where tokens begin; without one, anywhere but inside a surrogate pair.
                var space = text.LastIndexOf(' ', start + BlockLength, BlockLength / 2);
                length = space > start ? space - start : BlockLength;
                if (char.IsHighSurrogate(text[start + length - 1])) length--;
            }

            yield return (start, length);
            start += length;
        }
    }
}
