using System.Text;
using System.Text.Json;
using AiAspire.Core.Chat;
using AiAspire.Core.Wire;

namespace AiAspire.Unit.CoreTests.Chat;

public sealed class EmbeddingSetTests
{
    [Fact]
    public void A_set_is_cut_into_calls_that_hold_each_input_once_in_order_and_all_other_fields()
    {
        var inputs = Enumerable.Range(0, 600).Select(i => $"text {i}").ToList();
        using var set = EmbeddingSet.Parse(JsonSerializer.SerializeToUtf8Bytes(new { model = "m", inputs, dimensions = 8, something_new = 1 }));

        var calls = Enumerable.Range(0, set.Calls).Select(set.Request).ToList();

        Assert.Equal([256, 256, 88], calls.Select(c => c.Items));
        Assert.Equal([0, 256, 512], Enumerable.Range(0, set.Calls).Select(set.FirstOf));
        Assert.Equal(inputs, calls.SelectMany(c => c.Input.EnumerateArray().Select(i => i.GetString()!)));
        Assert.All(calls, c => Assert.Equal(("m", 8, 1, false), (c.Model, c.Json.GetProperty("dimensions").GetInt32(), c.Json.GetProperty("something_new").GetInt32(), c.Json.TryGetProperty("inputs", out _))));
    }

    [Fact]
    public void Long_inputs_make_small_calls_and_one_that_is_longer_than_a_call_goes_alone()
    {
        var inputs = new[] { new string('a', 150_000), new string('b', 100_000), new string('c', 250_000), "d" };
        using var set = EmbeddingSet.Parse(JsonSerializer.SerializeToUtf8Bytes(new { model = "m", inputs }));

        Assert.Equal([1, 1, 1, 1], Enumerable.Range(0, set.Calls).Select(c => set.Request(c).Items));
    }

    [Theory]
    [InlineData("""{"model":"m"}""", "inputs")]
    [InlineData("""{"model":"m","inputs":[]}""", "inputs")]
    [InlineData("""{"model":"m","inputs":"one"}""", "inputs")]
    [InlineData("""{"model":"m","inputs":["a"],"input":"b"}""", "input")]
    public void What_is_no_set_is_refused_by_the_name_of_its_field(string body, string param)
    {
        var refused = Assert.Throws<WireException>(() => EmbeddingSet.Parse(Encoding.UTF8.GetBytes(body)).Dispose());

        Assert.Equal((400, param), (refused.Status, refused.Param));
    }
}
