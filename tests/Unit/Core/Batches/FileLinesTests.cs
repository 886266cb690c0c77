using System.Text;
using AiAspire.Core.Files;

namespace AiAspire.Unit.CoreTests.Batches;

public sealed class FileLinesTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(1000)]
    public async Task Lines_are_the_same_however_the_content_is_cut(int pieces)
    {
        var lines = await ReadAsync("one\r\n\n  \ntwo\nthree", pieces, max: 100);

        Assert.Equal([(1, "one\r", 0L, 5L), (4, "two", 9L, 13L), (5, "three", 13L, 18L)], lines.Select(l => (l.Number, l.Text, l.Start, l.End)));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    [InlineData(1000)]
    public async Task A_line_that_is_too_long_is_passed_over_and_the_next_is_read(int pieces)
    {
        var lines = await ReadAsync("abcdefghij\nabcde\nabcdef", pieces, max: 5);

        Assert.Equal([(1, "", true), (2, "abcde", false), (3, "", true)], lines.Select(l => (l.Number, l.Text, l.IsTooLong)));
    }

    [Fact]
    public async Task A_byte_order_mark_is_no_part_of_the_first_line()
        => Assert.Equal(["x"], (await ReadAsync("\ufeffx\n", 2, max: 100)).Select(l => l.Text));

    [Fact]
    public async Task Nothing_has_no_lines() => Assert.Empty(await ReadAsync("\n \n\r\n", 1, max: 100));

    private static async Task<List<(int Number, string Text, long Start, long End, bool IsTooLong)>> ReadAsync(string text, int pieces, int max)
    {
        var lines = new List<(int, string, long, long, bool)>();
        await foreach (var line in FileLines.ReadAsync(Cut(Encoding.UTF8.GetBytes(text), pieces), 1, 0, max, TestContext.Current.CancellationToken))
            lines.Add((line.Number, Encoding.UTF8.GetString(line.Bytes.Span), line.Start, line.End, line.IsTooLong));
        return lines;
    }

    private static async IAsyncEnumerable<ReadOnlyMemory<byte>> Cut(byte[] content, int size)
    {
        foreach (var piece in content.Chunk(size))
        {
            await Task.Yield();
            yield return piece;
        }
    }
}
