using System.Net.Http.Headers;
using System.Text;

namespace AiAspire.Bench;

/// <summary>
/// The one request that is sent over and over, and how its answer is told from a wrong one. The Simulator repeats the text that it is
/// told to say, so the answer is known; it holds no character that JSON would escape, so it can be looked for byte by byte.
/// </summary>
internal sealed class ChatQuestion(Delivery delivery)
{
    private const string Answer = "Your order left our warehouse this morning and will be with you on Thursday before noon at the latest";

    private static readonly byte[] AnswerBytes = Encoding.UTF8.GetBytes(Answer);
    private static readonly byte[] DoneLine = "data: [DONE]\n\n"u8.ToArray();

    private readonly byte[] _body = Encoding.UTF8.GetBytes(
        """
        {"model":"sim-large","max_tokens":100,STREAM"messages":[
        {"role":"system","content":"You are the support assistant of a shop for garden tools. Answer in one friendly sentence, never promise a refund, and ask for the order number when you need it."},
        {"role":"user","content":"say exactly: ANSWER"}]}
        """
            .Replace("STREAM", delivery == Delivery.Stream ? "\"stream\":true,\"stream_options\":{\"include_usage\":true}," : "", StringComparison.Ordinal)
            .Replace("ANSWER", Answer, StringComparison.Ordinal));

    public bool IsStream => delivery == Delivery.Stream;

    public HttpRequestMessage To(ChatPath path)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, path.Address)
        {
            Headers = { Authorization = new AuthenticationHeaderValue("Bearer", path.Key) },
            Content = new ByteArrayContent(_body) { Headers = { ContentType = new MediaTypeHeaderValue("application/json") } },
        };
        foreach (var (name, value) in path.Headers)
            request.Headers.TryAddWithoutValidation(name, value);
        return request;
    }

    /// <summary>Whether what has arrived of a stream holds some of the answer's text (the first event names only the role).</summary>
    public static bool HasContent(ReadOnlySpan<byte> received) => NextContent(ref received).Length > 0;

    /// <summary>Null for the right answer, whole and properly ended; else what is wrong with it.</summary>
    public string? Check(ReadOnlySpan<byte> received)
    {
        if (IsStream && !received.EndsWith(DoneLine))
            return "the stream has no [DONE]";

        var expected = AnswerBytes.AsSpan();
        while (NextContent(ref received) is { Length: > 0 } piece)
        {
            if (!expected.StartsWith(piece))
                return "the content is not what was asked for";
            expected = expected[piece.Length..];
        }

        return expected.IsEmpty ? null : "the content is cut short";
    }

    private static ReadOnlySpan<byte> NextContent(ref ReadOnlySpan<byte> json)
    {
        var name = "\"content\":\""u8;
        while (json.IndexOf(name) is >= 0 and var at)
        {
            json = json[(at + name.Length)..];
            var end = json.IndexOf((byte)'"');
            if (end > 0)
                return json[..end];
            if (end < 0)
                break;
        }

        return default;
    }
}
