using Npgsql;

namespace AiAspire.Core.Data;

/// <summary>Positional parameters without boxing; a null becomes NULL.</summary>
public static class Parameter
{
    public static NpgsqlParameter Of<T>(T value) => new NpgsqlParameter<T> { TypedValue = value };
}
