using System.Text;
using AiAspire.ServiceDefaults.Logging;

namespace AiAspire.Unit.ServiceDefaults;

public sealed class LineWriterTests
{
    [Fact]
    public async Task Lines_of_many_threads_come_out_whole_and_all_of_them()
    {
        var stream = new MemoryStream();
        using (var writer = new LineWriter(stream))
        {
            await Task.WhenAll(Enumerable.Range(0, 8).Select(thread => Task.Run(() =>
            {
                for (var i = 0; i < 5_000; i++)
                    writer.Write(Encoding.UTF8.GetBytes($"{thread}:{i}:{new string('x', i % 300)}\n"));
            })));
        }

        var lines = Encoding.UTF8.GetString(stream.ToArray()).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(40_000, lines.Length);
        foreach (var thread in lines.Select(l => l.Split(':')).GroupBy(l => l[0], StringComparer.Ordinal))
        {
            // In the order in which the thread wrote them, and none torn.
            Assert.Equal(Enumerable.Range(0, 5_000), thread.Select(l => int.Parse(l[1], System.Globalization.CultureInfo.InvariantCulture)));
            Assert.All(thread, l => Assert.Equal(int.Parse(l[1], System.Globalization.CultureInfo.InvariantCulture) % 300, l[2].Length));
        }
    }

    [Fact]
    public void What_is_said_after_the_end_is_written_at_once()
    {
        var stream = new MemoryStream();
        var writer = new LineWriter(stream);
        writer.Dispose();

        writer.Write("late\n"u8);

        Assert.Equal("late\n", Encoding.UTF8.GetString(stream.ToArray()));
    }

    [Fact]
    public void A_reader_that_is_gone_breaks_nothing()
    {
        using var writer = new LineWriter(new BrokenPipe());

        writer.Write("a\n"u8);
        writer.Flush();
    }

    private sealed class BrokenPipe : MemoryStream
    {
        public override void Write(ReadOnlySpan<byte> buffer) => throw new IOException("Broken pipe");
    }
}
