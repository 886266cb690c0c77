using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.AspNetCore.OpenApi;
using Microsoft.OpenApi;

namespace AiAspire.Api;

/// <summary>Writes amounts without the zeros that PostgreSQL's <c>numeric(p, s)</c> keeps behind them: 0.0045, not 0.0045000000.</summary>
internal sealed class PlainDecimalConverter : JsonConverter<decimal>
{
    // As many places as a decimal has.
    private const decimal One = 1.0000000000000000000000000000m;

    public override decimal Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => reader.GetDecimal();

    /// <summary>A quotient has as few places as it needs (ECMA-334, section 12.10.3).</summary>
    public override void Write(Utf8JsonWriter writer, decimal value, JsonSerializerOptions options) => writer.WriteNumberValue(value / One);

    /// <summary>The generator of schemas does not look behind a converter.</summary>
    public static Task DescribeAsync(OpenApiSchema schema, OpenApiSchemaTransformerContext context, CancellationToken cancellationToken)
    {
        var type = context.JsonTypeInfo.Type;
        if (type == typeof(decimal) || type == typeof(decimal?))
            (schema.Type, schema.Format) = (type == typeof(decimal) ? JsonSchemaType.Number : JsonSchemaType.Number | JsonSchemaType.Null, "double");
        return Task.CompletedTask;
    }
}
