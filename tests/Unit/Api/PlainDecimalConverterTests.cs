using System.Text.Json;
using AiAspire.Api;

namespace AiAspire.Unit.ApiTests;

public sealed class PlainDecimalConverterTests
{
    private static readonly JsonSerializerOptions Options = new() { Converters = { new PlainDecimalConverter() } };

    [Theory]
    [InlineData("0.004500000", "0.0045")]
    [InlineData("0.000000000", "0")]
    [InlineData("100.00", "100")]
    [InlineData("-2.50", "-2.5")]
    [InlineData("9000000.000000001", "9000000.000000001")]
    [InlineData("0.0000000000000000000000000001", "0.0000000000000000000000000001")]
    [InlineData("79228162514264337593543950335", "79228162514264337593543950335")]
    public void Amounts_lose_their_trailing_zeros_and_nothing_else(string amount, string written)
    {
        var value = decimal.Parse(amount, System.Globalization.CultureInfo.InvariantCulture);

        var json = JsonSerializer.Serialize(value, Options);

        Assert.Equal(written, json);
        Assert.Equal(value, JsonSerializer.Deserialize<decimal>(json, Options));
        Assert.Equal("null", JsonSerializer.Serialize<decimal?>(null, Options));
    }
}
