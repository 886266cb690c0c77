namespace AiAspire.Unit.Api.Edge;

/// <summary>
/// Requests that two parsers may read differently (RFC 9112 §11.2), as raw bytes. Each must be refused with the connection closed, or be
/// read in the one way there is, so that nothing of it is taken for another request.
/// </summary>
[Trait("Checklist", "PRIV-05")]
public sealed class SmugglingTests
{
    private const string Post = "POST /v1/echo HTTP/1.1\r\nHost: localhost\r\n";
    private const string Smuggled = "GET /v1/echo HTTP/1.1\r\nHost: localhost\r\n\r\n";

    public static TheoryData<string, string> Refused => new()
    {
        { "both lengths", $"{Post}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{Smuggled}" },
        { "both lengths, the other way round", $"{Post}Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\n{Smuggled}" },
        { "two different lengths", $"{Post}Content-Length: 0\r\nContent-Length: 44\r\n\r\n{Smuggled}" },
        { "two equal lengths", $"{Post}Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi{Smuggled}" },
        { "a list of lengths", $"{Post}Content-Length: 2, 2\r\n\r\nhi{Smuggled}" },
        { "a folded header", $"{Post}X-One: a\r\n Content-Length: 2\r\n\r\nhi{Smuggled}" },
        { "a space before the colon", $"{Post}Content-Length : 2\r\n\r\nhi{Smuggled}" },
        { "an encoding that is not chunked", $"{Post}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{Smuggled}" },
        { "chunked, then another encoding", $"{Post}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{Smuggled}" },
        { "a chunk size that is no number", $"{Post}Transfer-Encoding: chunked\r\n\r\nxyz\r\nhi\r\n0\r\n\r\n{Smuggled}" },
        { "a chunk size with 0x", $"{Post}Transfer-Encoding: chunked\r\n\r\n0x2\r\nhi\r\n0\r\n\r\n{Smuggled}" },
        { "a negative chunk size", $"{Post}Transfer-Encoding: chunked\r\n\r\n-2\r\nhi\r\n0\r\n\r\n{Smuggled}" },
        { "a chunk size that overflows", $"{Post}Transfer-Encoding: chunked\r\n\r\n100000002\r\nhi\r\n0\r\n\r\n{Smuggled}" },
        { "a chunk longer than its size", $"{Post}Transfer-Encoding: chunked\r\n\r\n2\r\nhi there\r\n0\r\n\r\n{Smuggled}" },
        // CVE-2025-55315: a line feed alone ends the line for some proxies.
        { "a chunk extension with a lone line feed", $"{Post}Transfer-Encoding: chunked\r\n\r\n2;\nxx\r\nhi\r\n0\r\n\r\n{Smuggled}" },
        { "a chunk extension with a lone carriage return", $"{Post}Transfer-Encoding: chunked\r\n\r\n2;a\rb\r\nhi\r\n0\r\n\r\n{Smuggled}" },
        { "a chunk size ended by a lone line feed", $"{Post}Transfer-Encoding: chunked\r\n\r\n2\nhi\r\n0\r\n\r\n{Smuggled}" },
        { "a null in a header", $"{Post}X-One: a\0b\r\n\r\n{Smuggled}" },
        { "no host", $"GET /v1/echo HTTP/1.1\r\n\r\n{Smuggled}" },
        { "two hosts", $"GET /v1/echo HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n{Smuggled}" },
        { "a target on another host", $"GET http://other/v1/echo HTTP/1.1\r\nHost: localhost\r\n\r\n{Smuggled}" },
    };

    [Theory]
    [MemberData(nameof(Refused))]
    public async Task Is_refused_and_nothing_after_it_is_read(string what, string request)
    {
        await using var server = await EdgeServer.StartAsync("Development");

        var answer = await server.SendRawAsync(request, answers: 2);

        Assert.True(answer.StartsWith("HTTP/1.1 400 ", StringComparison.Ordinal), $"{what}: {answer}");
        Assert.Contains("Connection: close", answer, StringComparison.Ordinal);
        // Where the fault is in the body the endpoint has begun to read; it never got to an end.
        Assert.DoesNotContain("HTTP/1.1 200", answer, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_length_with_a_plus_is_the_number_it_says()
    {
        await using var server = await EdgeServer.StartAsync("Development");

        var answer = await server.SendRawAsync($"{Post}Content-Length: +2\r\n\r\nhi{Smuggled}", answers: 2);

        Assert.Contains("[hi]", answer, StringComparison.Ordinal);
        Assert.Contains("[]", answer, StringComparison.Ordinal);
        Assert.Equal(2, server.Reached);
    }

    [Fact]
    public async Task A_well_formed_chunk_extension_is_passed_over_and_moves_no_boundary()
    {
        await using var server = await EdgeServer.StartAsync("Development");

        var answer = await server.SendRawAsync($"{Post}Transfer-Encoding: chunked\r\n\r\n2;a=\"b;c\"\r\nhi\r\n0;d\r\n\r\n{Smuggled}", answers: 2);

        Assert.Contains("[hi]", answer, StringComparison.Ordinal);
        Assert.Contains("[]", answer, StringComparison.Ordinal);
        Assert.Equal(2, server.Reached);
    }
}
